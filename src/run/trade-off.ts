import type { Axis, Series } from "../charts/chart.ts";
import { renderChart } from "../charts/static.ts";
import { percent, wholePercent } from "../core/format.ts";
import type { Html } from "../core/html.ts";
import { paretoFront } from "../core/pareto.ts";

/** A trained model, or the base model at a cutoff, in the plane of the paper's figures 3, 4 and 7. */
export interface TradeOffPoint {
  method: string;
  /** What tells it from the others of its method, such as "α 0.2"; null where nothing does. */
  label: string | null;
  tokens: number;
  /** Half the width of the interval; 0 for a single run. */
  tokensHalf?: number;
  accuracy: number;
  accuracyHalf?: number;
}

export const TOKENS: Axis = {
  label: "mean tokens of a response",
  format: (tokens) => tokens.toFixed(1),
  tick: String,
  bounds: [0, Infinity],
};
export const PASS_RATE: Axis = { label: "average pass rate", format: percent, tick: wholePercent, bounds: [0, 1] };

/** Methods whose points are one curve though nothing names them: a model at several cutoffs. */
const CUT_OFF = ["Base", "Distill"];

/** Accuracy against tokens: one series a method, and the front of the points that none beats. */
export function renderTradeOff(title: string, points: readonly TradeOffPoint[]): Html {
  const series = Array.from(
    Map.groupBy(points, ({ method }) => method),
    ([method, group]): Series => ({
      name: method,
      ...(CUT_OFF.includes(method) || group.every(({ label }) => label !== null) ? { line: "solid" } : {}),
      markers: true,
      points: [...group]
        .sort((a, b) => a.tokens - b.tokens)
        .map((point) => ({
          x: point.tokens,
          y: point.accuracy,
          halfX: point.tokensHalf ?? 0,
          halfY: point.accuracyHalf ?? 0,
          ...(point.label === null ? {} : { label: point.label }),
        })),
    }),
  );
  const front: Series = {
    name: "Pareto front",
    line: "dashed",
    points: paretoFront(points).map(({ tokens, accuracy }) => ({ x: tokens, y: accuracy })),
  };
  return renderChart({
    title,
    x: TOKENS,
    y: PASS_RATE,
    series: [...series, front],
  });
}
