import { shuffledIndices } from "../core/rng.ts";
import { parseNumber } from "../grader/number.ts";
import { unusable, type MathRow } from "../tasks/math-rows.ts";
import { isMultipleChoice, isProof } from "./kinds.ts";
import { normaliseProblem, normaliseText } from "../tasks/normalise.ts";

/** Rows of one input, or the problems of one evaluation set. */
export interface NamedRows {
  name: string;
  rows: readonly MathRow[];
}

/** A line of the training file; the `math` task reads it as it stands. */
export interface TrainingRow {
  /** The input's name and the row's own id. */
  id: string;
  problem: string;
  answer: string;
  source: string;
  difficulty: string;
}

export interface DroppedRow {
  id: string;
  reason: string;
  /** The row or the evaluation problem that it equals, where that is the reason. */
  of?: string;
}

export interface Stratum {
  source: string;
  difficulty: string;
  /** Rows that passed every filter, and how many of them were drawn. */
  available: number;
  taken: number;
}

export interface Prepared {
  rows: TrainingRow[];
  dropped: DroppedRow[];
  strata: Stratum[];
  /** Every source that occurs in the inputs. */
  sources: string[];
}

/** A filter's reason for rows that are good and were not drawn. */
export const NOT_DRAWN = "not drawn";

/**
 * A training set as the paper made its own: rows whose answer parses to a number, no proofs, no multiple choice, none twice,
 * none that is in an evaluation set (all by normalised text), and `take` of those, each source and difficulty with its share
 * of them. `sources` are those to take, all where it is empty. A function of its arguments: the same seed draws the same rows in the same order.
 */
export function prepareTraining(
  inputs: readonly NamedRows[],
  evaluationSets: readonly NamedRows[],
  { take, seed, sources: only = [] }: { take: number; seed: number; sources?: readonly string[] },
): Prepared {
  const sources = new Set<string>();
  const dropped: DroppedRow[] = [];
  const heldOut = new Map<string, string>();
  for (const { name, rows } of evaluationSets) {
    for (const { prompt, id } of rows) {
      const key = normaliseProblem(prompt);
      if (key !== "" && !heldOut.has(key)) heldOut.set(key, `${name}: ${id}`);
    }
  }

  /** Usable rows with the same text, drawings included: they may be all that two problems differ in. By first occurrence. */
  const byText = new Map<string, TrainingRow[]>();
  for (const { name, rows } of inputs) {
    for (const row of rows) {
      const id = `${name}: ${row.id}`;
      const source = String(row.row["source"] ?? row.row["data_source"] ?? name);
      sources.add(source);
      const reason = only.length > 0 && !only.includes(source) ? "another source" : dropReason(row);
      const of = heldOut.get(normaliseProblem(row.prompt));
      if (reason) dropped.push({ id, reason });
      else if (of !== undefined) dropped.push({ id, reason: "in an evaluation set", of });
      else {
        const key = normaliseText(row.prompt);
        const kept = { id, problem: row.prompt, answer: row.answer, source, difficulty: row.difficulty };
        const same = byText.get(key);
        if (same) same.push(kept);
        else byText.set(key, [kept]);
      }
    }
  }

  const good: TrainingRow[] = [];
  for (const [first, ...copies] of byText.values() as Iterable<[TrainingRow, ...TrainingRow[]]>) {
    const agree = copies.every(({ answer }) => parseNumber(answer) === parseNumber(first.answer));
    if (agree) good.push(first);
    else dropped.push({ id: first.id, reason: "copies with different answers", of: copies[0]!.id });
    const reason = agree ? "duplicate problem" : "copies with different answers";
    dropped.push(...copies.map(({ id }) => ({ id, reason, of: first.id })));
  }

  const { drawn, strata } = draw(good, take, seed);
  const taken = new Set(drawn);
  dropped.push(...good.filter((row) => !taken.has(row)).map(({ id }) => ({ id, reason: NOT_DRAWN })));
  return { rows: drawn, dropped, strata, sources: [...sources] };
}

function dropReason(row: MathRow): string | null {
  const reason = unusable(row);
  if (reason === "no problem") return reason;
  if (isProof(row)) return "proof";
  if (isMultipleChoice(row)) return "multiple choice";
  return reason;
}

/** `take` rows (all if there are fewer), from each source and difficulty in proportion, in a random order. */
function draw(rows: readonly TrainingRow[], take: number, seed: number): { drawn: TrainingRow[]; strata: Stratum[] } {
  const groups = new Map<string, TrainingRow[]>();
  for (const row of rows) {
    const key = JSON.stringify([row.source, row.difficulty]);
    const group = groups.get(key);
    if (group) group.push(row);
    else groups.set(key, [row]);
  }
  const sorted = [...groups].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, group]) => group);
  const sizes = sorted.map((group) => group.length);
  const counts = shares(sizes, Math.min(take, rows.length));
  const chosen = sorted.flatMap((group, g) =>
    shuffledIndices(group.length, seed, g)
      .slice(0, counts[g])
      .map((i) => group[i]!),
  );
  return {
    drawn: shuffledIndices(chosen.length, seed, sorted.length).map((i) => chosen[i]!),
    strata: sorted.map(([row], g) => ({
      source: row!.source,
      difficulty: row!.difficulty,
      available: sizes[g]!,
      taken: counts[g]!,
    })),
  };
}

/** `total` shared out in proportion to `sizes`, to whole numbers by largest remainder; earlier ones win ties. */
export function shares(sizes: readonly number[], total: number): number[] {
  const all = sizes.reduce((a, b) => a + b, 0);
  if (all === 0) return sizes.map(() => 0);
  const exact = sizes.map((size) => (size * total) / all);
  const counts = exact.map(Math.floor);
  const missing = total - counts.reduce((a, b) => a + b, 0);
  const byRemainder = exact
    .map((value, i) => ({ i, remainder: value - Math.floor(value) }))
    .sort((a, b) => b.remainder - a.remainder || a.i - b.i);
  for (const { i } of byRemainder.slice(0, missing)) counts[i]!++;
  return counts;
}
