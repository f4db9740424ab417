import { add, call, divide, multiply, number, power, symbol, type Expression } from "../formula/expression.ts";
import { letterMeasure } from "./units.ts";

interface Measured {
  value: Expression;
  /** Its unit, null where it has none. */
  unit: string | null;
  over: Expression | null;
  under: Expression | null;
}

function parted(x: Expression): Measured {
  if (x.kind !== "call" || x.name !== "measured") return { value: x, unit: null, over: null, under: null };
  const [value, unit, over, under] = x.args as [Expression, Expression, Expression, Expression];
  return { value, unit: unit.kind === "symbol" ? unit.name : "", over, under };
}

/** The same of a number and a letter beside a value with a unit: 5m beside 5 metres. */
function letterParted(x: Expression): Measured {
  const [value, letter] = x.kind === "multiply" && x.terms.length === 2 ? x.terms : [];
  const measure = value?.kind === "number" && letter?.kind === "symbol" ? letterMeasure(letter.name) : null;
  return measure
    ? { value: value!, unit: measure.text, over: number(measure.over), under: number(measure.under) }
    : parted(x);
}

/** Values of one kind, each in a smaller unit and less than one of the unit before: 1 hour 30 minutes as one value, else null. */
export function compound(values: readonly Expression[]): Expression | null {
  const parts = values.map((value) => ({ ...parted(value), size: sizeOf(value) }));
  const fits = parts.every(({ value, unit, size }, i) => {
    const before = parts[i - 1];
    if (size === null || !unit) return false;
    return !before || (unit === before.unit && value.kind === "number" && value.value * size < before.size!);
  });
  if (!fits || parts.length < 2) return null;
  const inFirst = parts.map(({ value, over, under }) => divide(multiply(value, over!), under!));
  return call("measured", add(...inFirst), symbol(parts[0]!.unit!), number(1), number(1));
}

/** How many of the first unit of its kind a value's unit is. */
function sizeOf(x: Expression): number | null {
  const { over, under } = parted(x);
  return over?.kind === "number" && under?.kind === "number" ? over.value / under.value : null;
}

/** Minutes since midnight of a time of day that says which half it is in, or is beyond noon: 5 pm, 17:00. */
function minutesOf({ value, unit }: Measured): Expression | null {
  const half = /^([ap])m\^1$/.exec(unit ?? "")?.[1];
  const [hour, minute] = value.kind === "call" && value.name === "ratio" ? value.args : [value, number(0)];
  if (hour?.kind !== "number" || minute?.kind !== "number") return null;
  if (half === undefined && (value.kind !== "call" || hour.value < 13)) return null;
  return number((half === undefined ? hour.value : (hour.value % 12) + (half === "p" ? 12 : 0)) * 60 + minute.value);
}

/** Units of which it is not said what they count. */
const isAny = (unit: string): boolean => /^unit\^\d$/.test(unit);

/** A time of day is no ratio. */
const clock = (x: Expression): Expression => (x.kind === "call" && x.name === "ratio" ? { ...x, name: "clock" } : x);

/** Values with units that are the same, or that measure the same: an hour is sixty minutes. A value without a unit has any. */
export function sameMeasured(
  a: Expression,
  b: Expression,
  equal: (x: Expression, y: Expression) => string | null,
): string | null {
  let [p, r] = [parted(a), parted(b)];
  if (p.unit === null) p = letterParted(a);
  if (r.unit === null) r = letterParted(b);
  if ([p, r].some(({ unit }) => unit !== null && /^[ap]m\^1$/.test(unit))) {
    const [x, y] = [minutesOf(p), minutesOf(r)];
    if (x && y) return equal(x, y) && "the same time";
    [p.value, r.value] = [clock(p.value), clock(r.value)];
  }
  const free = !p.unit || !r.unit || (p.unit !== r.unit && isAny(p.unit) !== isAny(r.unit));
  if (free) return equal(p.value, r.value);
  if (p.unit !== r.unit) return null;
  const scaled = ({ value, over, under }: Measured) =>
    multiply(value, over!, power(under!, { kind: "number", value: -1 }));
  const unscaled = [p.over, p.under].every((factor, i) => {
    const other = [r.over, r.under][i]!;
    return factor!.kind === "number" && other!.kind === "number" && factor!.value === other!.value;
  });
  return unscaled ? equal(p.value, r.value) : equal(scaled(p), scaled(r));
}
