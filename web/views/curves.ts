import { ITERATIONS, smoothedBy, type Chart, type Point, type Series } from "../../src/charts/chart.ts";
import { wholePercent } from "../../src/core/format.ts";
import { ChartView } from "../charts.ts";
import { h } from "../dom.ts";
import type { CurvePoint, Story } from "../story.ts";
import { format, text } from "../text.ts";

const t = text.curves;

/** Iterations of the running mean that is drawn over each curve. */
const SMOOTHING = 10;

interface Kind {
  key: Exclude<keyof CurvePoint, "iteration" | "completions/max_length">;
  title: string;
  write: (value: number) => string;
  tick: (value: number) => string;
  range: readonly [number, number];
}

const LENGTH: Kind = {
  key: "completions/mean_length",
  title: t.tokens,
  write: format.tokens,
  tick: (value) => value.toFixed(0),
  range: [0, 50],
};
const ACCURACY: Kind = {
  key: "accuracy",
  title: t.accuracy,
  write: format.percent,
  tick: wholePercent,
  range: [0.5, 1],
};
const REWARD: Kind = {
  key: "reward",
  title: t.reward,
  write: format.number,
  tick: (value) => value.toFixed(1),
  range: [0.4, 1],
};
const TRUNCATED: Kind = {
  key: "completions/clipped_ratio",
  title: t.truncated,
  write: format.percent,
  tick: wholePercent,
  range: [0, 0.2],
};

/** Curves of a run, over those of others. */
function curveCharts(
  kinds: readonly Kind[],
  height: number,
  onIteration: (iteration: number) => void,
  unnamed = false,
) {
  const views = kinds.map((kind) => ({
    kind,
    view: new ChartView(chartOf(kind, null, [], null, unnamed), {
      height: () => height,
      onPick: ({ x }) => onIteration(x),
    }),
  }));
  return {
    elements: views.map(({ view }) => view.element),
    /** `iteration`: the one that is looked at, null for the last. */
    show(story: Story, ghosts: readonly (readonly CurvePoint[])[], iteration: number | null) {
      for (const { kind, view } of views) view.update(chartOf(kind, story, ghosts, iteration, unnamed));
    },
  };
}

export const stageCurves = (onIteration: (iteration: number) => void) =>
  curveCharts([LENGTH, ACCURACY], 112, onIteration, true);

/** The other curves, with what there is to know of them. */
export function moreCurves(onIteration: (iteration: number) => void) {
  const charts = curveCharts([REWARD, TRUNCATED], 190, onIteration);
  const [reward, truncated] = charts.elements;
  return {
    element: h(
      "details",
      { class: "more" },
      h("summary", {}, t.more),
      h("div", { class: "charts" }, h("div", {}, reward!, h("p", { class: "faint" }, t.rewardNote)), truncated!),
    ),
    show: charts.show,
  };
}

function chartOf(
  { key, title, write, tick, range }: Kind,
  story: Story | null,
  ghosts: readonly (readonly CurvePoint[])[],
  iteration: number | null,
  unnamed: boolean,
): Chart {
  const points = (rows: readonly CurvePoint[]): Point[] => rows.map((row) => ({ x: row.iteration, y: row[key] }));
  const curve = story?.curve ?? [];
  const read = (iteration === null ? undefined : curve.findLast((row) => row.iteration <= iteration)) ?? curve.at(-1);
  const others = ghosts.map((rows): Series => ({ name: t.ghost, points: points(rows), line: "faint" }));
  return {
    title,
    // Where the smooth curve is: a single iteration's value says little.
    headline: read ? write(smoothedBy(points(curve), SMOOTHING)[curve.indexOf(read)]!.y) : "–",
    x: { ...ITERATIONS, unnamed, range: [1, Math.max(2, story?.iterations ?? 0)] },
    y: { label: "", format: write, tick, range },
    series: [...others, { name: title, points: points(curve), line: "solid", smooth: SMOOTHING }],
    ...(iteration !== null && iteration > 0 && read ? { at: read.iteration } : {}),
    empty: t.empty,
  };
}
