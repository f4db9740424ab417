/** Runs in a tab: charts of both kinds, for charts.test.ts to read and export. */
import type { Chart } from "../../src/charts/chart.ts";
import { ChartView } from "../../web/charts.ts";
import { answerCard } from "../../web/views/answer.ts";

export type Kind = "curves" | "points";

const ITERATIONS = 500;

let seed = 1;
const noise = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
const curve = (shift: number) =>
  Array.from({ length: ITERATIONS }, (_, i) => ({ x: i + 1, y: shift + Math.exp(-i / 90) + 0.1 * noise() }));
const share = (value: number) => `${(100 * value).toFixed(1)}%`;

const CHARTS: Record<Kind, Chart> = {
  curves: {
    title: "Mean tokens",
    headline: "12.3",
    x: { label: "iteration", format: String, range: [1, ITERATIONS] },
    y: { label: "mean tokens of the group's responses", format: (value) => value.toFixed(2), range: [0, 1] },
    series: [
      { name: "an earlier run", points: curve(0.3), line: "faint" },
      { name: "this run", points: curve(0), line: "solid", smooth: 10 },
    ],
  },
  points: {
    title: "Accuracy against tokens",
    x: { label: "mean tokens, relative to the base model as it was before", format: share, range: [0, 1.05] },
    y: { label: "accuracy on the held-out problems", format: share, range: [0.7, 1] },
    series: [
      {
        name: "your runs",
        markers: true,
        points: [
          { x: 0.3, y: 0.82, label: "α 0.40", id: "first", halfY: 0.02 },
          { x: 0.6, y: 0.9, label: "α 0.20", id: "second", halfX: 0.05 },
        ],
      },
      { name: "base model", markers: true, points: [{ x: 1, y: 0.91, id: "base" }] },
    ],
  },
};

function hold(element: HTMLElement, width: number): void {
  const holder = document.createElement("div");
  holder.style.width = `${width}px`;
  holder.append(element);
  const main = document.createElement("main");
  const heading = document.createElement("h1");
  heading.textContent = "A chart";
  main.append(heading, holder);
  document.body.replaceChildren(main);
}

const bench = {
  /** What was picked, by id. */
  picked: [] as string[],
  show(kind: Kind, width: number) {
    const view = new ChartView(CHARTS[kind], {
      height: () => 300,
      onPick: ({ id, x }) => bench.picked.push(id ?? String(x)),
    });
    hold(view.element, width);
    return view;
  },
  /** The card of a run whose pinned problem was answered so often, at one of the answers. */
  film(answers: number, iteration: number, width: number) {
    const card = answerCard({ onProblem() {}, onIteration() {} });
    hold(card.element, width);
    const frames = Array.from({ length: answers }, (_, step) => ({
      step,
      pieces: Array<string>(answers - step).fill("1"),
      correct: true,
    }));
    const run = { kind: "live", bundled: true, alpha: 0.2, problem: "1+1=?", iterations: answers } as const;
    card.show({ ...run, curve: [], frames, groups: [] }, iteration);
  },
  /** Milliseconds of each of `count` updates of a chart that is shown: its drawing, styles and layout. */
  async time(kind: Kind, width: number, count: number): Promise<number[]> {
    const { draw } = await import("../../src/charts/draw.ts");
    const view = bench.show(kind, width);
    const times: number[] = [];
    for (let i = 0; i < count; i++) {
      await new Promise(requestAnimationFrame);
      const start = performance.now();
      view.update({ ...CHARTS[kind], headline: String(i) });
      view.redraw(draw);
      view.element.getBoundingClientRect();
      times.push(performance.now() - start);
    }
    return times;
  },
};

declare global {
  var bench: {
    picked: string[];
    show(kind: Kind, width: number): unknown;
    film(answers: number, iteration: number, width: number): void;
    time(kind: Kind, width: number, count: number): Promise<number[]>;
  };
}
globalThis.bench = bench;
