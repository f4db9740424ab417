import { dot, text, type Markish, type RenderFunction } from "@observablehq/plot";
import { CHARACTER, type Look } from "./palette.ts";
import { svgElement } from "./svg.ts";

const ROW = 18;
const KEY = 22;
const GAP = 16;

/**
 * Names of several series in rows above the frame, each behind its mark; those of one name are one. It is part of the drawing,
 * and so of every export.
 */
export function legendOf(
  looks: readonly Look[],
  width: number,
): { height: number; marks: (marginLeft: number, marginTop: number) => Markish[] } {
  const named = [...new Map(looks.map((look) => [look.series.name, look])).values()];
  if (named.length < 2) return { height: 0, marks: () => [] };
  let row = 0;
  let left = 0;
  const places = named.map(({ series: { name } }) => {
    const room = KEY + name.length * CHARACTER;
    if (left > 0 && left + room > width - 4) {
      row++;
      left = 0;
    }
    const place = { left, row };
    left += room + GAP;
    return place;
  });
  return {
    height: (row + 1) * ROW,
    marks: (marginLeft, marginTop) =>
      named.flatMap(({ series: { name, markers, line }, colour: fill, symbol }, index) => {
        const { left: dx, row: at } = places[index]!;
        const origin = { frameAnchor: "top-left" as const, dy: at * ROW + 9 - marginTop };
        const key = { ...origin, dx: dx + 9 - marginLeft, r: 5 };
        return [
          markers ? dot([0], { ...key, symbol, fill }) : stroke(dx, at * ROW + 9, fill, line === "dashed"),
          text([name], { ...origin, dx: dx + KEY - marginLeft, textAnchor: "start", lineAnchor: "middle" }),
        ];
      }),
  };
}

/** A piece of a line, in pixels of the drawing. */
const stroke =
  (x: number, y: number, colour: string, dashed: boolean): RenderFunction =>
  (_index, _scales, _values, _dimensions, { document }) =>
    svgElement(document, "path", {
      d: `M${x + 1} ${y}h16`,
      stroke: colour,
      "stroke-width": 2,
      ...(dashed ? { "stroke-dasharray": "5 4" } : {}),
    });
