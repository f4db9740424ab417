import { initializer, text, type Markish } from "@observablehq/plot";
import type { Chart, Point } from "./chart.ts";
import { CHARACTER } from "./palette.ts";

interface Box {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

const HEIGHT = 13;
/** From a point to the middle of its label, in the order in which places are tried: across by half the label's width. */
const PLACES: readonly (readonly [side: number, down: number])[] = [
  [1, -10],
  [1, 11],
  [-1, -10],
  [-1, 11],
  [0, -16],
  [0, 17],
];

/** Points' labels, each at the first place beside its point where it covers no other point or label; one that has none is left out. */
export function besideTheirPoints({ series }: Chart, frame: { left: number; top: number; width: number }): Markish {
  const labelled = series.flatMap(({ points }) => points.filter(({ label }) => label));
  const all = series.filter(({ markers }) => markers).flatMap(({ points }) => points);
  const place = initializer<Record<string, unknown>>(
    { x: "x", y: "y", text: "label", fill: "var(--ink)", stroke: "var(--page)", strokeWidth: 3 },
    (data, facets, _channels, scales) => {
      const at = ({ x, y }: Point) => ({ x: scales.x!(x) as number, y: scales.y!(y) as number });
      const taken: Box[] = all.map(at).map(({ x, y }) => ({ left: x - 5, right: x + 5, top: y - 5, bottom: y + 5 }));
      const xs: number[] = [];
      const ys: number[] = [];
      for (const point of data as Point[]) {
        const { x, y } = at(point);
        const half = (point.label!.length * CHARACTER) / 2;
        const box = PLACES.map(([side, down]): Box => {
          const middle = x + side * (half + 7);
          return {
            left: middle - half,
            right: middle + half,
            top: y + down - HEIGHT / 2,
            bottom: y + down + HEIGHT / 2,
          };
        }).find(
          (one) =>
            one.left >= frame.left &&
            one.right <= frame.width &&
            one.top >= frame.top - HEIGHT &&
            taken.every((other) => !meet(one, other)),
        );
        if (box) taken.push(box);
        xs.push(box ? (box.left + box.right) / 2 : NaN);
        ys.push(box ? (box.top + box.bottom) / 2 : NaN);
      }
      return { data, facets, channels: { x: { value: xs }, y: { value: ys } } };
    },
  );
  return labelled.length > 0 ? text(labelled, place) : null;
}

const meet = (a: Box, b: Box): boolean => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
