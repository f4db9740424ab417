import { runningMean } from "../core/statistics.ts";

/** A chart as data: what is drawn, read on hover and listed in its table, in the page and in reports alike. */
export interface Chart {
  title: string;
  /** What it comes to, written large beside the title. */
  headline?: string;
  x: Axis;
  y: Axis;
  series: readonly Series[];
  /** An x that is being looked at. */
  at?: number;
  /** Said in the place of curves while there are no points. */
  empty?: string;
}

export interface Axis {
  /** Empty where the title says it. */
  label: string;
  /** The label is in the table and in readings alone: what is around a small chart says it already. */
  unnamed?: boolean;
  /** A value, as readings and the table give it. */
  format: (value: number) => string;
  /** The same at the axis, where it may be shorter. */
  tick?: (value: number) => string;
  /** The axis reaches at least from here to there. */
  range?: readonly [number, number];
  /** What a value can be at all: intervals that go further are drawn up to here. */
  bounds?: readonly [number, number];
}

/** Iterations are whole: no tick lies between two. */
export const ITERATIONS: Axis = {
  label: "iteration",
  format: String,
  tick: (value) => (Number.isInteger(value) ? String(value) : ""),
};

export interface Series {
  name: string;
  points: readonly Point[];
  /** Faint is for what lies behind, such as an earlier run: it has no readings. */
  line?: "solid" | "dashed" | "faint";
  /** Points are marked by a shape of the series' own, so that series differ without colour too. */
  markers?: boolean;
  /** The line is the mean of the last so many values, and lies over the raw curve. */
  smooth?: number;
}

export interface Point {
  x: number;
  y: number;
  /** Written beside it. */
  label?: string;
  /** What it stands for, to whoever it is picked for. */
  id?: string;
  /** Half the width of an interval: whiskers where points are marked, else a band. */
  halfX?: number;
  halfY?: number;
}

/** Whether readings are taken at an x for all series at once, as curves are read, or at single points. */
export const readByX = ({ series }: Chart): boolean => series.every(({ markers }) => !markers);

/** The series that have readings and a place in the table, without the gaps in them: points that are no numbers. */
export const readable = ({ series }: Chart): Series[] =>
  series
    .filter(({ line }) => line !== "faint")
    .map((one) => ({ ...one, points: one.points.filter(({ x, y }) => Number.isFinite(x) && Number.isFinite(y)) }));

export const tickOf = ({ tick, format }: Axis): ((value: number) => string) => tick ?? format;

/** Where an interval begins and ends, as far as values go. */
export function ends({ bounds = [-Infinity, Infinity] }: Axis, value: number, half = 0): [number, number] {
  return [Math.max(bounds[0], value - half), Math.min(bounds[1], value + half)];
}

/** A value and half its interval in words. */
export const within = ({ format }: Axis, value: number, half = 0): string =>
  half > 0 ? `${format(value)} ± ${format(half)}` : format(value);

/** Means over the last `width` points. */
export function smoothedBy(points: readonly Point[], width: number): Point[] {
  const means = runningMean(
    points.map(({ y }) => y),
    width,
  );
  return points.map(({ x }, i) => ({ x, y: means[i]! }));
}
