import { multiply, number, power, type Expression } from "../formula/expression.ts";
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
  if ([p, r].some(({ unit }) => unit !== null && /^[ap]m\^1$/.test(unit)))
    [p.value, r.value] = [clock(p.value), clock(r.value)];
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
