import { frontArea, paretoFront } from "../core/pareto.ts";
import { meanInterval } from "../core/statistics.ts";
import type { Outcome, ResultRow } from "./results.ts";

/** A method by all of its strengths. */
export interface MethodSummary {
  method: string;
  /** Area under the method's own front up to the base model's mean tokens (`frontArea`): the mean over seeds, half of its 95% interval. */
  area: number;
  areaHalf: number;
  /** How many of its strengths are on the front of all methods, by the means over seeds. */
  onFront: number;
}

/** Every method, the largest area first. `baseTokens`: mean tokens of the base model's responses. */
export function summarise(
  outcomes: readonly Outcome[],
  rows: readonly ResultRow[],
  baseTokens: number,
): MethodSummary[] {
  const front = new Set(paretoFront(rows));
  const methods = Map.groupBy(outcomes, ({ method }) => method);
  return Array.from(methods, ([method, own]): MethodSummary => {
    const areas = [...Map.groupBy(own, ({ seed }) => seed).values()].map((runs) =>
      frontArea(
        runs.map(({ final }) => ({ tokens: final.mean_length, accuracy: final.accuracy })),
        baseTokens,
      ),
    );
    const { mean, half } = meanInterval(areas);
    const onFront = rows.filter((row) => row.method === method && front.has(row)).length;
    return { method, area: mean, areaHalf: half, onFront };
  }).sort((a, b) => b.area - a.area);
}

/** What alpha does under one normalisation of advantages. */
export interface AlphaOrder {
  method: string;
  /** By alpha, the smallest first. */
  rows: ResultRow[];
  /** Whether every larger alpha gives fewer tokens, by the means over seeds. */
  ordered: boolean;
  /** Of the pairs of neighbours those in this order whose intervals are apart; null with a single seed, which has none. */
  apart: number | null;
}

/** Of each method, whether its strengths order the lengths. */
export function alphaOrders(rows: readonly ResultRow[]): AlphaOrder[] {
  return Array.from(
    Map.groupBy(rows, ({ method }) => method),
    ([method, own]): AlphaOrder => {
      const sorted = own.toSorted((a, b) => a.strength! - b.strength!);
      const falls = (gap: (row: ResultRow, next: ResultRow) => number) =>
        sorted.slice(1).filter((next, i) => sorted[i]!.tokens - next.tokens > gap(sorted[i]!, next)).length;
      return {
        method,
        rows: sorted,
        ordered: falls(() => 0) === sorted.length - 1,
        apart: sorted.every(({ seeds }) => seeds > 1) ? falls((a, b) => a.tokensHalf + b.tokensHalf) : null,
      };
    },
  );
}
