import { parseArgs } from "node:util";
import { UsageError } from "../errors.ts";
import { decimal } from "../run/decimal.ts";
import { nearest } from "../run/nearest.ts";

/** A flag of a command: `--name`, or `--name VALUE` where it has a placeholder for one. */
export interface Flag {
  value?: string;
  /** Takes several values: `--name A B`, or the flag again. */
  many?: true;
  /** Says true without a value, and `--name false` switches off. */
  onOff?: true;
  /** One letter that stands for it after one dash. */
  short?: string;
  help: string;
  /** As shown in help. */
  default?: string;
}

export type Flags = Readonly<Record<string, Flag>>;

/** What a command was given, as typed: nothing is read as a number before somebody says that it is one. */
export class Args {
  readonly positionals: readonly string[];
  /** By flag, in the order given. */
  readonly values: ReadonlyMap<string, readonly string[]>;

  constructor(positionals: readonly string[], values: ReadonlyMap<string, readonly string[]>) {
    this.positionals = positionals;
    this.values = values;
  }

  has(flag: string): boolean {
    return this.values.has(flag);
  }

  all(flag: string): readonly string[] {
    return this.values.get(flag) ?? [];
  }

  /** The last one given. */
  text(flag: string): string | undefined {
    return this.all(flag).at(-1);
  }

  number(flag: string, fallback: number): number {
    const text = this.text(flag);
    if (text === undefined) return fallback;
    const value = decimal(text);
    if (value === null) throw new UsageError(`--${flag}: expected a number, got ${JSON.stringify(text)}`);
    return value;
  }

  /** A whole number of at least `least`. */
  whole(flag: string, fallback: number, least: number): number {
    const value = this.number(flag, fallback);
    if (!Number.isSafeInteger(value) || value < least)
      throw new UsageError(`--${flag}: expected a whole number from ${least}, got ${this.text(flag)}`);
    return value;
  }

  /** Whole numbers of at least `least`, separated by commas: 1,64,2048. */
  wholes(flag: string, fallback: readonly number[], least: number): readonly number[] {
    if (!this.has(flag)) return fallback;
    const text = this.all(flag).join(",");
    const values = text.split(",").map(decimal);
    if (!values.every((value) => value !== null && Number.isSafeInteger(value) && value >= least))
      throw new UsageError(`--${flag}: expected whole numbers from ${least} such as 1,64, got ${text}`);
    return values as number[];
  }

  choice<T extends string>(flag: string, fallback: T, known: readonly T[]): T {
    const text = this.text(flag) ?? fallback;
    const found = known.find((name) => name === text);
    if (found === undefined) throw new UsageError(`--${flag}: expected ${known.join(" or ")}, got ${text}`);
    return found;
  }
}

/**
 * Sorts a command's arguments. What follows a flag with a value is its value, whatever it looks like.
 *
 * @throws UsageError for a flag that the command does not have, or one without its value
 */
export function readArgs(argv: readonly string[], flags: Flags): Args {
  const known = Object.entries(flags);
  const { tokens } = parseArgs({
    args: [...argv],
    options: Object.fromEntries(
      known.map(([name, { value, short }]) => [
        name,
        { type: value ? "string" : "boolean", ...(short ? { short } : {}) },
      ]),
    ),
    strict: false,
    tokens: true,
  });
  const positionals: string[] = [];
  const values = new Map<string, string[]>();
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i]!;
    if (token.kind === "positional") positionals.push(token.value);
    if (token.kind !== "option") continue;
    const { name, rawName } = token;
    const flag = Object.hasOwn(flags, name) ? flags[name]! : null;
    if (!flag) throw new UsageError(unknown(rawName, name, flags));
    const given = token.value === undefined ? [] : [token.value];
    const positional = () => {
      const next = tokens[i + 1];
      return next?.kind === "positional" ? next.value : null;
    };
    const takePositional = () => {
      given.push(positional()!);
      i++;
    };
    if (flag.value) {
      if (given.length === 0) throw new UsageError(`--${name} ${flag.value}: its value is missing`);
      while (flag.many && positional() !== null) takePositional();
    } else if (flag.onOff) {
      if (given.length === 0 && ["true", "false"].includes(positional() ?? "")) takePositional();
      if (given.length === 0) given.push("true");
    } else if (given.length > 0) throw new UsageError(`--${name}: expected no value, got ${given[0]}`);
    values.set(name, [...(values.get(name) ?? []), ...given]);
  }
  return new Args(positionals, values);
}

function unknown(rawName: string, name: string, flags: Flags): string {
  const candidate = nearest(name, Object.keys(flags));
  const kind = name.includes(".") ? `unknown configuration key ${name}` : `unknown option ${rawName}`;
  return candidate === null ? kind : `${kind}; did you mean ${name.includes(".") ? "" : "--"}${candidate}?`;
}
