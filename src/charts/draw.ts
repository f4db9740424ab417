import {
  areaY,
  axisX,
  axisY,
  dot,
  gridY,
  line,
  plot,
  ruleX,
  ruleY,
  text,
  type LineOptions,
  type Markish,
  type Plot,
} from "@observablehq/plot";
import { ends, readable, readByX, smoothedBy, tickOf, type Axis, type Chart, type Point } from "./chart.ts";
import { besideTheirPoints } from "./labels.ts";
import { legendOf } from "./legend.ts";
import { CHARACTER, FONT_SIZE, lines, looksOf, type Look } from "./palette.ts";

const LINE = 15;
/** Pixels of height that are left for points, whatever stands around them. */
const LEAST = 60;

export type Drawing = SVGSVGElement & Plot;

/**
 * A chart as SVG of `width` x `height` pixels, in the colours of CHART_STYLE's variables. Everything that it looks like is in
 * attributes: it needs no style sheet beside it, and a policy that forbids inline styles lets it through.
 */
export function draw(document: Document, chart: Chart, { width, height }: { width: number; height: number }): Drawing {
  const byX = readByX(chart);
  const x = domain(chart, "x", byX ? 0 : ROOM);
  const y = domain(chart, "y", ROOM);
  const widest = Math.max(
    ...[...y, (y[0] + y[1]) / 2, y[1] + ROOM * (y[1] - y[0])].map((value) => characters(chart.y, value)),
  );
  const marginLeft = Math.max(30, widest * CHARACTER + 18);
  const marginRight = Math.max(14, (characters(chart.x, x[1]) * CHARACTER) / 2 + 2);
  const looks = looksOf(chart.series);
  const legend = legendOf(looks, width);
  const nameOf = ({ label, unnamed }: Axis) => (unnamed ? [] : lines(label, width));
  const name = { x: nameOf(chart.x), y: nameOf(chart.y) };
  const ticks = Math.max(2, Math.min(4, Math.floor(height / 45)));
  const marginTop = 12 + legend.height + name.y.length * LINE;
  const marginBottom = 28 + name.x.length * LINE;
  const written = { fill: "var(--faint)", tickSize: 0, label: null };
  const drawing = plot({
    document,
    width,
    height: Math.max(height, marginTop + marginBottom + LEAST),
    marginLeft,
    marginTop,
    marginRight,
    marginBottom,
    className: "drawing",
    ariaLabel: chart.title,
    ariaDescription: describe(chart),
    x: { type: "linear", domain: x },
    y: { type: "linear", domain: y, nice: true },
    marks: [
      gridY({ ticks, stroke: "var(--rule)", strokeOpacity: 1 }),
      axisY({ ...written, ticks, tickFormat: tickOf(chart.y) }),
      axisX({ ...written, ticks: Math.max(2, Math.floor(width / 80)), tickFormat: tickOf(chart.x) }),
      ...corner(name.y, { frameAnchor: "top-left", dx: 2 - marginLeft, dy: -6 - name.y.length * LINE }),
      ...corner(name.x, { frameAnchor: "bottom-right", dx: marginRight - 2, dy: 24 + LINE }),
      ...legend.marks(marginLeft, marginTop),
      chart.at === undefined ? null : ruleX([chart.at], { stroke: "var(--faint)", strokeDasharray: "3 3" }),
      ...looks.flatMap((look) => marksOf(chart, look)),
      besideTheirPoints(chart, { width: width - marginRight, top: marginTop, left: marginLeft }),
      chart.series.some(({ points }) => points.length > 0)
        ? null
        : text([chart.empty ?? ""], { frameAnchor: "middle", fill: "var(--faint)" }),
    ],
  }) as Drawing;
  drawing.setAttribute("font-size", String(FONT_SIZE));
  drawing.setAttribute("role", "img");
  // Plot's own style sheet says nothing that the attributes and the host do not.
  drawing.removeChild(drawing.getElementsByTagName("style")[0]!);
  // Plot names its groups for assistive technology, where only what has a role may have a name, and an image has no parts.
  for (const group of Array.from(drawing.getElementsByTagName("g"))) {
    group.setAttribute("data-mark", group.getAttribute("aria-label") ?? "");
    group.removeAttribute("aria-label");
  }
  return drawing;
}

/** Of a tick near a value: ticks are round numbers. */
const characters = (axis: Axis, value: number): number => tickOf(axis)(Number(value.toPrecision(2))).length;

/** A share of the span left free around points. */
const ROOM = 0.06;

function domain({ series, ...axes }: Chart, key: "x" | "y", room: number): [number, number] {
  const { range } = axes[key];
  const half = key === "x" ? "halfX" : "halfY";
  let [low, high] = range ?? [Infinity, -Infinity];
  for (const { points } of series) {
    for (const point of points) {
      const value = point[key];
      if (!Number.isFinite(value)) continue;
      const [from, to] = ends(axes[key], value, point[half]);
      low = Math.min(low, from);
      high = Math.max(high, to);
    }
  }
  if (low > high) return [0, 1];
  if (low === high) return [low - (Math.abs(low) || 1) / 2, high + (Math.abs(high) || 1) / 2];
  const margin = room * (high - low);
  return [low === range?.[0] ? low : low - margin, high === range?.[1] ? high : high + margin];
}

/** An axis' name at a corner of the frame, line by line, so that no narrow chart cuts it. */
const corner = (
  names: readonly string[],
  { dy, ...place }: { frameAnchor: "top-left" | "bottom-right"; dx: number; dy: number },
): Markish[] =>
  names.map((name, i) => text([name], { ...place, dy: dy + i * LINE, fill: "var(--faint)", fontWeight: 600 }));

function marksOf(chart: Chart, { series: { points, line: drawn, markers, smooth }, colour, symbol }: Look): Markish[] {
  const over = smooth === undefined ? points : smoothedBy(points, smooth);
  const last = over.at(-1);
  const through = (places: readonly Point[], look: LineOptions) =>
    line({ length: places.length }, { ...columns(places), stroke: colour, ...look });
  return [
    markers ? null : band(chart, points, colour),
    drawn && smooth !== undefined && through(points, { strokeWidth: 1, strokeOpacity: 0.4 }),
    drawn && through(over, { strokeWidth: 2, ...(drawn === "dashed" ? { strokeDasharray: "5 4" } : {}) }),
    ...(markers ? whiskers(chart, points, colour) : []),
    markers && dot(points, { x: "x", y: "y", r: 5, symbol, fill: colour, stroke: "var(--page)" }),
    // Where a curve has come to; a curve of one point is seen by it at all.
    !markers && drawn === "solid" && last && dot([last], { x: "x", y: "y", r: 3, fill: colour }),
  ].map((mark) => mark || null);
}

/** Numbers in arrays of their own: Plot takes them as they are, where of objects it makes a copy for each channel. */
const columns = (points: readonly Point[]) => ({
  x: Float64Array.from(points, ({ x }) => x),
  y: Float64Array.from(points, ({ y }) => y),
});

/** Where a point's interval along y begins and ends, and along x. */
const upright = ({ y: axis }: Chart) => ({
  x: "x",
  y1: ({ y, halfY }: Point) => ends(axis, y, halfY)[0],
  y2: ({ y, halfY }: Point) => ends(axis, y, halfY)[1],
});
const level = ({ x: axis }: Chart) => ({
  y: "y",
  x1: ({ x, halfX }: Point) => ends(axis, x, halfX)[0],
  x2: ({ x, halfX }: Point) => ends(axis, x, halfX)[1],
});

const band = (chart: Chart, points: readonly Point[], fill: string): Markish | null =>
  points.some(({ halfY }) => halfY) ? areaY(points, { ...upright(chart), fill, fillOpacity: 0.16 }) : null;

function whiskers(chart: Chart, points: readonly Point[], stroke: string): Markish[] {
  const [high, wide] = [points.filter(({ halfY }) => halfY), points.filter(({ halfX }) => halfX)];
  return [
    high.length > 0 && ruleX(high, { ...upright(chart), stroke, strokeOpacity: 0.6 }),
    wide.length > 0 && ruleY(wide, { ...level(chart), stroke, strokeOpacity: 0.6 }),
  ].map((mark) => mark || null);
}

/** A sentence for those who cannot see it; the table beside it has the values. */
function describe(chart: Chart): string {
  const series = readable(chart);
  const points = series.flatMap((one) => one.points);
  if (points.length === 0) return chart.empty ?? "";
  const span = (key: "x" | "y") => {
    const values = points.map((point) => point[key]);
    const { label, format } = chart[key];
    return `${label || chart.title}, ${format(Math.min(...values))} to ${format(Math.max(...values))}`;
  };
  return `${span("y")}, against ${span("x")}: ${series.map(({ name }) => name).join(", ")}`;
}
