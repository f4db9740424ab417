import { DOMParser } from "@xmldom/xmldom";
import { describe, expect, test } from "vitest";
import type { Chart, Point, Series } from "../../src/charts/chart.ts";
import { readingsOf } from "../../src/charts/readings.ts";
import { renderChart } from "../../src/charts/static.ts";
import { tableOf } from "../../src/charts/table.ts";
import { renderComparison } from "../../src/run/compare.ts";

const chartOf = (series: readonly Series[], more: Partial<Chart> = {}): Chart => ({
  title: "lengths",
  x: { label: "iteration", format: String },
  y: { label: "tokens", format: (value) => value.toFixed(1) },
  series,
  ...more,
});

/** The SVG of a chart, as XML reads it: what is not well-formed throws. */
function svgOf(chart: Chart): Element {
  const { markup } = renderChart(chart);
  const svg = markup.slice(markup.indexOf("<svg"), markup.indexOf("</svg>") + "</svg>".length);
  return new DOMParser().parseFromString(svg, "image/svg+xml").documentElement as unknown as Element;
}

const groups = (svg: Element, label: string): Element[] =>
  Array.from(svg.getElementsByTagName("g")).filter((group) => group.getAttribute("data-mark") === label);

/** Where the markers of a drawing are, in pixels. */
const markersOf = (svg: Element): [number, number][] =>
  groups(svg, "dot").flatMap((group) =>
    Array.from(group.childNodes as Iterable<Element>, (mark) => {
      const [, x, y] = /translate\(([\d.]+),([\d.]+)\)/.exec(mark.getAttribute("transform") ?? "") ?? [];
      return [Number(x ?? mark.getAttribute("cx")), Number(y ?? mark.getAttribute("cy"))] as [number, number];
    }),
  );

const line = (n: number, y: (i: number) => number): Point[] =>
  Array.from({ length: n }, (_, i) => ({ x: i + 1, y: y(i) }));

describe("a drawing", () => {
  test("has points where their numbers say, up being more", () => {
    const points = [
      { x: 0, y: 0 },
      { x: 5, y: 5 },
      { x: 10, y: 10 },
    ];
    const [low, middle, high] = markersOf(svgOf(chartOf([{ name: "s", points, markers: true }])));
    expect(middle![0]).toBeCloseTo((low![0] + high![0]) / 2, 3);
    expect(middle![1]).toBeCloseTo((low![1] + high![1]) / 2, 3);
    expect(high![0]).toBeGreaterThan(low![0] + 100);
    expect(high![1]).toBeLessThan(low![1] - 100);
  });

  test("has whiskers as far as values go", () => {
    const points = [
      { x: 1, y: 0.5, halfY: 0.1 },
      { x: 2, y: 0.9, halfY: 0.8 },
    ];
    const lengthsOf = (bounds: Partial<Chart>) =>
      groups(svgOf(chartOf([{ name: "s", points, markers: true }], bounds)), "rule").flatMap((group) =>
        Array.from(group.childNodes as Iterable<Element>, (mark) =>
          Math.abs(Number(mark.getAttribute("y2")) - Number(mark.getAttribute("y1"))),
        ),
      );
    const rate = { label: "rate", format: String };
    const [free, bounded] = [lengthsOf({ y: rate }), lengthsOf({ y: { ...rate, bounds: [0, 1] } })];
    expect(free[1]! / free[0]!).toBeCloseTo(8, 3);
    expect(bounded[1]! / bounded[0]!).toBeCloseTo(4.5, 3); // from 0.1 to 1
  });

  test.each([
    ["one point", [{ x: 3, y: 3 }]],
    [
      "equal points",
      [
        { x: 3, y: 0 },
        { x: 3, y: 0 },
      ],
    ],
    [
      "a gap",
      [
        { x: 1, y: 1 },
        { x: 2, y: NaN },
        { x: 3, y: 2 },
      ],
    ],
  ])("of %s has no place that is no number", (_, points) => {
    for (const markers of [true, false]) {
      const { markup } = renderChart(chartOf([{ name: "s", points, line: "solid", markers }]));
      expect(markup.replaceAll(/<text.*?<\/text>|<td>.*?<\/td>/g, "")).not.toMatch(/NaN|Infinity|undefined/);
      expect(markup).toContain("<svg");
    }
  });

  test("of nothing is nothing", () => {
    expect(renderChart(chartOf([])).markup).toBe("");
    expect(renderChart(chartOf([{ name: "s", points: [], line: "solid" }])).markup).toBe("");
  });

  test("shows intervals as whiskers of their width, and as a band along a curve", () => {
    const points = [
      { x: 0, y: 10, halfY: 2 },
      { x: 10, y: 20, halfX: 1 },
    ];
    const svg = svgOf(chartOf([{ name: "s", points, markers: true }]));
    const [first, second] = markersOf(svg);
    const perToken = (first![1] - second![1]) / 10;
    const whisker = groups(svg, "rule").flatMap((group) => Array.from(group.getElementsByTagName("line")));
    expect(whisker).toHaveLength(2);
    const [y1, y2] = ["y1", "y2"].map((name) => Number(whisker[0]!.getAttribute(name)));
    expect(Math.abs(y1! - y2!)).toBeCloseTo(4 * perToken, 3);
    expect(groups(svg, "area")).toHaveLength(0);
    expect(groups(svgOf(chartOf([{ name: "s", points, line: "solid" }])), "area")).toHaveLength(1);
  });

  test("writes labels beside their points, none over another or out of the frame", () => {
    const points = Array.from({ length: 12 }, (_, i) => ({ x: i % 3, y: Math.floor(i / 6), label: `alpha ${i}` }));
    const svg = svgOf(chartOf([{ name: "s", points, markers: true }]));
    const boxes = Array.from(svg.getElementsByTagName("text"))
      .filter(({ textContent }) => /^alpha \d+$/.test(textContent ?? ""))
      .map((text) => {
        const [, x, y] = /translate\(([\d.]+),([\d.]+)\)/.exec(text.getAttribute("transform")!)!;
        const half = text.textContent!.length * 3;
        return { left: Number(x) - half, right: Number(x) + half, top: Number(y) - 6, bottom: Number(y) + 6 };
      });
    expect(boxes.length).toBeGreaterThanOrEqual(6);
    for (const [i, a] of boxes.entries()) {
      expect(a.left).toBeGreaterThan(0);
      expect(a.right).toBeLessThan(400);
      for (const b of boxes.slice(i + 1))
        expect(a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom).toBe(false);
    }
  });

  test("has a legend where there is more than one series, and says in words what it shows", () => {
    const two = [
      { name: "first", points: line(3, (i) => i), line: "solid" as const },
      { name: "second", points: line(3, (i) => 2 * i), line: "dashed" as const },
    ];
    const written = (svg: Element) => Array.from(svg.getElementsByTagName("text"), ({ textContent }) => textContent);
    expect(written(svgOf(chartOf(two)))).toEqual(expect.arrayContaining(["first", "second"]));
    expect(written(svgOf(chartOf(two.slice(0, 1))))).not.toContain("first");
    expect(svgOf(chartOf(two)).getAttribute("aria-description")).toBe(
      "tokens, 0.0 to 4.0, against iteration, 1 to 3: first, second",
    );
  });

  test("takes nothing of its text for markup, and needs no style sheet", () => {
    const hostile = `<b onclick='x'>&"`;
    const points = [{ x: 1, y: 1, label: hostile }];
    const chart = chartOf([
      { name: hostile, points, markers: true },
      { name: "b", points, markers: true },
    ]);
    const { markup } = renderChart({
      ...chart,
      title: hostile,
      headline: hostile,
      x: { label: hostile, format: () => hostile },
      y: { label: hostile, format: () => hostile },
    });
    expect(markup).not.toMatch(/<b[ >]|<style|style=/);
    expect(markup.match(/&lt;b onclick=/g)!.length).toBeGreaterThan(10);
    // An attribute ends where it should, whatever it holds.
    expect(svgOf({ ...chart, title: hostile }).getAttribute("aria-label")).toBe(hostile);
  });
});

describe("readings", () => {
  test("of curves give every series at an iteration, with the mean that is drawn", () => {
    const chart = chartOf([
      { name: "a", points: line(4, (i) => i), line: "solid", smooth: 2 },
      { name: "b", points: line(2, () => 7).map((point) => ({ ...point, halfY: 0.5 })), line: "solid" },
      { name: "earlier", points: line(4, () => 1), line: "faint" },
    ]);
    expect(readingsOf(chart).map(({ lines }) => lines)).toEqual([
      ["iteration 1", "a: 0.0, mean of 2 0.0", "b: 7.0 ± 0.5"],
      ["iteration 2", "a: 1.0, mean of 2 0.5", "b: 7.0 ± 0.5"],
      ["iteration 3", "a: 2.0, mean of 2 1.5"],
      ["iteration 4", "a: 3.0, mean of 2 2.5"],
    ]);
  });

  test("of points name the point and its intervals", () => {
    const points = [{ x: 3, y: 2, halfX: 1, halfY: 0.25, label: "α 0.2" }];
    expect(readingsOf(chartOf([{ name: "RL", points, markers: true }]))).toEqual([
      { x: 3, y: 2, lines: ["RL, α 0.2", "tokens: 2.0 ± 0.3", "iteration: 3 ± 1"] },
    ]);
  });

  test("of a long run are at most 121, and the last is among them", () => {
    const readings = readingsOf(chartOf([{ name: "a", points: line(500, (i) => i), line: "solid" }]));
    expect(readings.length).toBeLessThanOrEqual(121);
    expect(readings.length).toBeGreaterThan(90);
    expect(readings.at(-1)!.x).toBe(500);
  });
});

test("the table has every value, by iteration or by point", () => {
  const cells = (chart: Chart) =>
    Array.from(tableOf(chart).markup.matchAll(/<t[hd][^>]*>\s*(.*?)\s*<\/t[hd]>/g), ([, cell]) => cell);
  const a = { name: "a", points: line(2, (i) => i), line: "solid" as const };
  const b = { name: "b", points: [{ x: 2, y: 9 }], line: "dashed" as const };
  expect(cells(chartOf([a, b]))).toEqual(["iteration", "a", "b", "1", "0.0", "", "2", "1.0", "9.0"]);
  expect(cells(chartOf([{ ...b, markers: true }]))).toEqual([
    "series",
    "point",
    "iteration",
    "tokens",
    "b",
    "",
    "2",
    "9.0",
  ]);
});

test("colours of series stand out from page and card in light and dark, as text does", () => {
  const css = renderComparison([], []);
  const variables = new Map(
    Array.from(css.matchAll(/(--[\w-]+): light-dark\((#\w+), (#\w+)\)/g), ([, name, ...pair]) => [name!, pair]),
  );
  const luminance = (hex: string) => {
    const [r, g, b] = [1, 3, 5].map((at) => {
      const value = parseInt(hex.slice(at, at + 2), 16) / 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!;
  };
  const contrast = (a: string, b: string) => {
    const [low, high] = [luminance(a), luminance(b)].toSorted((x, y) => x - y);
    return (high! + 0.05) / (low! + 0.05);
  };
  for (const name of ["--s0", "--s1", "--s2", "--s3", "--s4", "--s5", "--faint"])
    for (const back of ["--page", "--card"])
      for (const scheme of [0, 1])
        expect(
          contrast(variables.get(name)![scheme]!, variables.get(back)![scheme]!),
          `${name} on ${back}`,
        ).toBeGreaterThan(4.5);
});
