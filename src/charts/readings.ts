import { readable, readByX, smoothedBy, within, type Chart } from "./chart.ts";
import type { Drawing } from "./draw.ts";
import { CHARACTER, FONT_SIZE, lines } from "./palette.ts";
import { svgElement } from "./svg.ts";

type Parts = Parameters<typeof svgElement> extends [unknown, ...infer Rest] ? Rest : never;

/** What is read at a place of a chart. */
export interface Reading {
  x: number;
  /** Absent where a whole column is read. */
  y?: number;
  /** Of the point. */
  id?: string;
  lines: string[];
}

/** Columns that a hand can still point at; between them the table has the values. */
const MOST = 120;
const PADDING = 8;
const LINE = 17;

/** Every reading of a chart, from left to right. */
export function readingsOf(chart: Chart): Reading[] {
  const { x, y } = chart;
  if (!readByX(chart))
    return readable(chart)
      .filter(({ markers }) => markers)
      .flatMap(({ name, points }) =>
        points.map((point) => ({
          x: point.x,
          y: point.y,
          ...(point.id === undefined ? {} : { id: point.id }),
          lines: [
            point.label ? `${name}, ${point.label}` : name,
            `${y.label || chart.title}: ${within(y, point.y, point.halfY)}`,
            `${x.label}: ${within(x, point.x, point.halfX)}`,
          ],
        })),
      )
      .toSorted((a, b) => a.x - b.x);
  const columns = new Map<number, string[]>();
  for (const { name, points, smooth } of readable(chart)) {
    const means = smooth === undefined ? null : smoothedBy(points, smooth);
    points.forEach((point, i) => {
      const lines = columns.get(point.x) ?? [`${x.label} ${x.format(point.x)}`];
      lines.push(
        `${name}: ${within(y, point.y, point.halfY)}${means ? `, mean of ${smooth} ${y.format(means[i]!.y)}` : ""}`,
      );
      columns.set(point.x, lines);
    });
  }
  const all = [...columns].map(([at, lines]) => ({ x: at, lines })).toSorted((a, b) => a.x - b.x);
  const step = Math.ceil(all.length / MOST);
  return all.filter((_, i) => i % step === 0 || i === all.length - 1);
}

/**
 * Lays places to point at over a drawing, each with a box of what is read there. CHART_STYLE shows the box of the place under
 * the pointer, and of one of class "read": no script is needed.
 */
export function addReadings(document: Document, drawing: Drawing, readings: readonly Reading[]): SVGElement[] {
  const make = (...parts: Parts) => svgElement(document, ...parts);
  const { apply: atX, range: across } = drawing.scale("x")!;
  const { apply: atY, range: upright } = drawing.scale("y")!;
  const [left, right] = across as [number, number];
  const [bottom, top] = upright as [number, number];
  const places = readings.map(({ x }) => atX!(x) as number);
  const groups = readings.map(({ y, lines: whole }, i) => {
    const rows = whole.flatMap((line, row) => lines(line, right + 12 - 2 * PADDING).map((words) => ({ words, row })));
    const cx = places[i]!;
    const cy = y === undefined ? null : (atY!(y) as number);
    const target =
      cy === null ? column(places, i, { left, right, top, bottom }) : { x: cx - 11, y: cy - 11, width: 22, height: 22 };
    const width = Math.max(...rows.map(({ words }) => words.length)) * CHARACTER + 2 * PADDING;
    const height = rows.length * LINE + PADDING;
    const beside = cx + 10 + width > right + 12 ? cx - 10 - width : cx + 10;
    const boxLeft = Math.max(2, Math.min(beside, right + 12 - width));
    const boxTop = cy === null ? top + 2 : Math.max(2, Math.min(cy - height / 2, bottom - height));
    return make(
      "g",
      { class: "reading" },
      make("rect", { ...target, fill: "none", "pointer-events": "all" }),
      make(
        "g",
        { class: "read-out", "pointer-events": "none" },
        cy === null
          ? make("path", { d: `M${cx} ${top}V${bottom}`, stroke: "var(--faint)", "stroke-dasharray": "3 3" })
          : make("circle", { cx, cy, r: 8, fill: "none", stroke: "var(--ink)" }),
        make("rect", { x: boxLeft, y: boxTop, width, height, rx: 5, fill: "var(--page)", stroke: "var(--rule)" }),
        ...rows.map(({ words, row }, at) =>
          make(
            "text",
            {
              x: boxLeft + PADDING,
              y: boxTop + FONT_SIZE + 4 + at * LINE,
              "text-anchor": "start",
              ...(row === 0 ? { "font-weight": 600 } : {}),
            },
            words,
          ),
        ),
      ),
    );
  });
  drawing.appendChild(make("g", { "aria-hidden": "true" }, ...groups));
  return groups;
}

/** From halfway to the column on the left to halfway to that on the right. */
function column(
  places: readonly number[],
  i: number,
  { left, right, top, bottom }: { left: number; right: number; top: number; bottom: number },
) {
  const from = i === 0 ? left : (places[i - 1]! + places[i]!) / 2;
  const to = i === places.length - 1 ? right : (places[i]! + places[i + 1]!) / 2;
  return { x: from, y: top, width: Math.max(1, to - from), height: bottom - top };
}
