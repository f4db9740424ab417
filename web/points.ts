import type { Chart, Point, Series } from "../src/charts/chart.ts";
import { wholePercent } from "../src/core/format.ts";
import { paretoFront } from "../src/core/pareto.ts";
import { PAPER } from "./paper.ts";
import type { Recordings, RecordedScores } from "./recordings.ts";
import type { Run, Scores } from "./session/protocol.ts";
import { nearestRun } from "./story.ts";
import { format, text } from "./text.ts";

const t = text.tradeoff;

export const runName = ({ name, alpha }: Run): string => name || t.unnamed(alpha);

export const alphaText = ({ alpha, alphaChanged }: Run): string => (alphaChanged ? t.changed(alpha) : alpha.toFixed(2));

/** What a trade-off is drawn from. */
export interface Measured {
  recordings: Recordings;
  /** Of the task that is chosen. */
  runs: readonly Run[];
  base: Scores | null;
}

const half = ([low, high]: readonly [number, number]): number => (high - low) / 2;

/** `unit`: tokens that count as 1. */
function recordedPoint(scores: RecordedScores, unit: number, label?: string): Point {
  return {
    x: scores.tokens / unit,
    y: scores.accuracy,
    halfX: half(scores.tokensInterval) / unit,
    halfY: half(scores.accuracyInterval),
    ...(label === undefined ? {} : { label }),
  };
}

/** Of a recording or a run, for whoever picks its point. */
export const recordingId = (alpha: number): string => `recorded ${alpha}`;

const ownPoint = (run: Run, unit: number): Point => ({
  x: run.scores!.mean_length / unit,
  y: run.scores!.accuracy,
  halfX: half(run.scores!.mean_length_interval) / unit,
  halfY: half(run.scores!.accuracy_interval),
  label: `α ${alphaText(run)}`,
  id: run.id,
});

/** The stage's small one, in tokens: the recordings, the one that is shown among them, and one's own runs. */
export function smallTradeoff({ recordings, runs }: Measured, alpha: number): Chart {
  const chosen = nearestRun(recordings, alpha);
  const label = (value: number) => `α ${value}`;
  return {
    title: t.chart,
    x: { label: t.tokensAxis, format: format.tokens, tick: (value) => value.toFixed(0), range: [0, 100] },
    y: { label: t.yAxis, unnamed: true, format: format.percent, tick: wholePercent },
    series: [
      {
        name: t.recorded,
        points: recordings.runs.map((run) => ({
          ...recordedPoint(run.scores, 1, run === chosen ? undefined : label(run.alpha)),
          id: recordingId(run.alpha),
        })),
        line: "solid",
        markers: true,
      },
      { name: t.baseName, points: [recordedPoint(recordings.base, 1)], markers: true },
      { name: t.shown, points: [{ ...recordedPoint(chosen.scores, 1, label(chosen.alpha)) }], markers: true },
      ...(runs.length > 0 ? [{ name: t.yours, points: runs.map((run) => ownPoint(run, 1)), markers: true }] : []),
    ],
  };
}

export interface Overlays {
  cutoff: boolean;
  baselines: boolean;
  /** Index of one of the paper's tables. */
  paper: number | null;
}

/** Everything on one plane, tokens relative to the untrained model's. */
export function tradeoff({ recordings, runs, base }: Measured, { cutoff, baselines, paper }: Overlays): Chart {
  const { tokens } = recordings.base;
  const recorded = recordings.runs.map((run) => ({
    ...recordedPoint(run.scores, tokens, `α ${run.alpha}`),
    id: recordingId(run.alpha),
  }));
  const yours = runs.map((run) => ownPoint(run, base?.mean_length ?? tokens));
  const bases = [recordedPoint(recordings.base, tokens), ...(base ? [{ x: 1, y: base.accuracy }] : [])];
  const front = paretoFront(
    [...recorded, ...yours, ...bases].map((point) => ({ ...point, tokens: point.x, accuracy: point.y })),
  );
  const series: Series[] = [
    { name: t.front, points: front.map(({ x, y }) => ({ x, y })), line: "faint" },
    { name: t.recorded, points: recorded, markers: true },
    ...(yours.length > 0 ? [{ name: t.yours, points: yours, markers: true }] : []),
    { name: t.baseName, points: bases, markers: true },
  ];
  if (cutoff)
    series.push({
      name: t.cutoff,
      points: recordings.cutoffs.map((cut) => ({ x: cut.tokens / tokens, y: cut.accuracy, label: String(cut.limit) })),
      line: "dashed",
      markers: true,
    });
  if (baselines) {
    for (const { method, ...point } of recordings.baselines)
      series.push({ name: method, points: [{ ...point, label: method }], markers: true });
  }
  if (paper !== null) {
    const { runs: published, base: untrained } = PAPER[paper]!;
    const points = published.map((run) => ({
      x: run.tokens / untrained.tokens,
      y: run.accuracy,
      label: `α ${run.alpha}`,
    }));
    points.push({ x: 1, y: untrained.accuracy, label: "" });
    series.push({ name: t.paper, points: points.toSorted((p, q) => p.x - q.x), line: "dashed", markers: true });
  }
  return {
    title: t.chart,
    x: { label: t.xAxis, format: wholePercent, range: [0, 1.05] },
    y: { label: t.yAxis, format: format.percent, tick: wholePercent, range: [0.7, 1] },
    series,
  };
}

/** Mean tokens by difficulty: whether easy problems shrink more than hard ones. */
export function difficulties({ recordings, runs, base }: Measured, alpha: number): Chart {
  const points = (of: Record<string, number>): Point[] =>
    Object.entries(of).map(([difficulty, tokens]) => ({ x: Number(difficulty), y: tokens }));
  const lengths = (scores: Scores) =>
    Object.fromEntries(Object.entries(scores.by_difficulty).map(([key, { mean_length }]) => [key, mean_length]));
  const chosen = nearestRun(recordings, alpha);
  return {
    title: t.difficulty,
    x: {
      label: t.steps,
      format: String,
      tick: (value) => (Number.isInteger(value) ? String(value) : ""),
    },
    y: { label: t.tokensAxis, format: format.tokens, tick: (value) => value.toFixed(0), range: [0, 50] },
    series: [
      {
        name: t.baseName,
        points: points(base && runs.length > 0 ? lengths(base) : recordings.base.tokensByDifficulty),
        line: "solid",
      },
      { name: t.recordedAt(chosen.alpha), points: points(chosen.scores.tokensByDifficulty), line: "solid" },
      ...runs
        .slice(-3)
        .map((run): Series => ({ name: runName(run), points: points(lengths(run.scores!)), line: "dashed" })),
    ],
  };
}
