import type { BenchResult, Line } from "./result.ts";

export interface Change {
  line: Line;
  /** Milliseconds before and after. */
  before: number;
  after: number;
  /** How many times as fast as before. */
  speedup: number;
  /** Whether the middle halves of the measurements lie apart. */
  clear: boolean;
}

export interface Comparison {
  changes: Change[];
  /** Measured in one of the two alone. */
  onlyBefore: Line[];
  onlyAfter: Line[];
}

const key = ({ part, model, name, shape, storage }: Line): string =>
  JSON.stringify([part, model, name, shape, storage]);

/** Line by line, the largest change first. */
export function compareResults(before: BenchResult, after: BenchResult): Comparison {
  const old = new Map(before.lines.map((line) => [key(line), line]));
  const changes: Change[] = [];
  const onlyAfter: Line[] = [];
  for (const line of after.lines) {
    const previous = old.get(key(line));
    if (!previous) {
      onlyAfter.push(line);
      continue;
    }
    old.delete(key(line));
    const [a, b] = [previous.ms, line.ms];
    const clear = Math.abs(a.median - b.median) > (a.iqr + b.iqr) / 2;
    changes.push({ line, before: a.median, after: b.median, speedup: a.median / b.median, clear });
  }
  changes.sort((x, y) => Math.abs(Math.log(y.speedup)) - Math.abs(Math.log(x.speedup)));
  return { changes, onlyBefore: [...old.values()], onlyAfter };
}
