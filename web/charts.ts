import { h, svg } from "./dom.ts";

/** Draws at the element's own width in CSS pixels, and again when it changes, so that text keeps its size from 360 px up. */
export function responsive(holder: HTMLElement, draw: (width: number) => SVGElement): () => void {
  let width = 0;
  const redraw = () => {
    if (width > 0) holder.replaceChildren(draw(width));
  };
  new ResizeObserver(([entry]) => {
    const now = Math.floor(entry!.contentRect.width);
    if (now === width) return;
    width = now;
    redraw();
  }).observe(holder);
  return redraw;
}

/** About `count` round numbers from `low` to `high`. */
export function ticks(low: number, high: number, count: number): number[] {
  const rough = (high - low) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough)!;
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => (first + i) * step);
}

export interface LineChartOptions {
  title: string;
  format: (value: number) => string;
  /** For the axis. */
  formatTick: (value: number) => string;
  /** The axis reaches at least from here to there. */
  range: readonly [number, number];
  label: (first: string, last: string, n: number) => string;
  at: (iteration: number) => string;
  /** How to read single values with the keyboard. */
  hint: string;
  empty: string;
}

const HEIGHT = 132;
const MARGIN = { left: 38, right: 12, top: 10, bottom: 20 };

/** A small line chart over iterations, with the newest value written large. Arrow keys and the pointer read single values. */
export class LineChart {
  readonly element: HTMLElement;
  readonly #options: LineChartOptions;
  readonly #value = h("span", { class: "figure" });
  readonly #note = h("span", { class: "faint" });
  readonly #redraw: () => void;
  #values: readonly number[] = [];
  #total = 0;
  /** Index of the value that is being read; null when none is. */
  #cursor: number | null = null;

  constructor(options: LineChartOptions) {
    this.#options = options;
    const caption = h("figcaption", { "aria-atomic": "true" }, h("span", {}, options.title), this.#value, this.#note);
    const plot = h("div", {
      class: "plot",
      tabindex: 0,
      role: "group",
      "aria-label": `${options.title}. ${options.hint}`,
      // Spoken while it is being read, not at every iteration.
      onfocus: () => caption.setAttribute("aria-live", "polite"),
      onkeydown: (event: KeyboardEvent) => this.#onKey(event),
      onpointermove: (event: PointerEvent) => this.#onPointer(event, plot),
      onpointerleave: () => this.#point(null),
      onblur: () => {
        caption.removeAttribute("aria-live");
        this.#point(null);
      },
    });
    this.element = h("figure", { class: "chart" }, caption, plot);
    this.#redraw = responsive(plot, (width) => this.#draw(width));
    this.update([], 0);
  }

  /** `total`: iterations that the run will have. */
  update(values: readonly number[], total: number): void {
    this.#values = values;
    this.#total = total;
    this.#point(null);
  }

  #point(index: number | null): void {
    this.#cursor = index === null ? null : Math.max(0, Math.min(this.#values.length - 1, index));
    const { format, at } = this.#options;
    const shown = this.#cursor ?? this.#values.length - 1;
    const value = this.#values[shown];
    this.#value.textContent = value === undefined ? "–" : format(value);
    this.#note.textContent = this.#cursor === null ? "" : at(shown + 1);
    this.#redraw();
  }

  #onKey(event: KeyboardEvent): void {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step === undefined || this.#values.length === 0) return;
    event.preventDefault();
    this.#point((this.#cursor ?? this.#values.length) + step);
  }

  #onPointer(event: PointerEvent, plot: HTMLElement): void {
    if (this.#values.length === 0) return;
    const { left, width } = plot.getBoundingClientRect();
    const share = (event.clientX - left - MARGIN.left) / (width - MARGIN.left - MARGIN.right);
    this.#point(Math.round(share * (this.#span - 1)));
  }

  get #span(): number {
    return Math.max(this.#total, this.#values.length, 2);
  }

  #draw(width: number): SVGElement {
    const values = this.#values;
    const { format, formatTick, range, label, title, empty } = this.#options;
    const low = Math.min(range[0], ...values);
    const high = Math.max(range[1], ...values);
    const x = (i: number) => MARGIN.left + (i / (this.#span - 1)) * (width - MARGIN.left - MARGIN.right);
    const y = (v: number) =>
      HEIGHT - MARGIN.bottom - ((v - low) / (high - low || 1)) * (HEIGHT - MARGIN.top - MARGIN.bottom);
    const points = values.map((v, i) => `${x(i).toFixed(1)} ${y(v).toFixed(1)}`);
    const bottom = HEIGHT - MARGIN.bottom;
    const cursor = this.#cursor;
    return svg(
      "svg",
      {
        viewBox: `0 0 ${width} ${HEIGHT}`,
        role: "img",
        "aria-label":
          values.length === 0 ? `${title}. ${empty}` : label(format(values[0]!), format(values.at(-1)!), values.length),
      },
      ...ticks(low, high, 3).map((v) =>
        svg(
          "g",
          { class: "tick" },
          svg("line", { x1: MARGIN.left, x2: width - MARGIN.right, y1: y(v), y2: y(v) }),
          svg("text", { x: MARGIN.left - 6, y: y(v) + 3.5, "text-anchor": "end" }, formatTick(v)),
        ),
      ),
      ...(values.length === 0
        ? []
        : [
            svg("text", { class: "tick", x: x(0), y: HEIGHT - 4 }, "1"),
            svg("text", { class: "tick", x: x(this.#span - 1), y: HEIGHT - 4, "text-anchor": "end" }, this.#span),
          ]),
      values.length > 1 &&
        svg("path", { class: "area", d: `M${x(0)} ${bottom}L${points.join("L")}L${x(values.length - 1)} ${bottom}Z` }),
      values.length > 1 && svg("path", { class: "line", d: `M${points.join("L")}` }),
      values.length > 0 && svg("circle", { class: "dot", cx: x(values.length - 1), cy: y(values.at(-1)!), r: 3.5 }),
      cursor !== null &&
        svg(
          "g",
          { class: "cursor" },
          svg("line", { x1: x(cursor), x2: x(cursor), y1: MARGIN.top, y2: bottom }),
          svg("circle", { cx: x(cursor), cy: y(values[cursor]!), r: 4 }),
        ),
    );
  }
}

export interface ScatterPoint {
  x: number;
  y: number;
  label: string;
  /** Said by screen readers and shown on hover. */
  description: string;
  kind: "base" | "run" | "paper" | "paper-base";
}

export interface ScatterOptions {
  title: string;
  xAxis: string;
  yAxis: string;
  format: (share: number) => string;
}

/** Accuracy against tokens. Kinds differ in shape as well as in colour: disc, ring, diamond. */
export class Scatter {
  readonly element: HTMLElement;
  readonly #options: ScatterOptions;
  readonly #redraw: () => void;
  #points: readonly ScatterPoint[] = [];

  constructor(options: ScatterOptions) {
    this.#options = options;
    this.element = h("div", { class: "scatter" });
    this.#redraw = responsive(this.element, (width) => this.#draw(width));
  }

  update(points: readonly ScatterPoint[]): void {
    this.#points = points;
    this.#redraw();
  }

  #draw(width: number): SVGElement {
    const height = Math.max(280, Math.min(420, width * 0.62));
    const margin = { left: 46, right: 44, top: 26, bottom: 44 };
    const ys = this.#points.map((point) => point.y);
    const xs = this.#points.map((point) => point.x);
    const yLow = Math.max(0, Math.floor((Math.min(0.7, ...ys) - 0.03) * 10) / 10);
    const xHigh = Math.max(1.05, ...xs.map((value) => value * 1.05));
    const x = (v: number) => margin.left + (v / xHigh) * (width - margin.left - margin.right);
    const y = (v: number) => height - margin.bottom - ((v - yLow) / (1 - yLow)) * (height - margin.top - margin.bottom);
    const bottom = height - margin.bottom;
    const paper = this.#points.filter(({ kind }) => kind.startsWith("paper")).toSorted((p, q) => p.x - q.x);
    return svg(
      "svg",
      { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": this.#options.title },
      ...ticks(yLow, 1, 5).map((v) =>
        svg(
          "g",
          { class: "tick" },
          svg("line", { x1: margin.left, x2: width - margin.right, y1: y(v), y2: y(v) }),
          svg("text", { x: margin.left - 8, y: y(v) + 4, "text-anchor": "end" }, this.#options.format(v)),
        ),
      ),
      ...ticks(0, xHigh, width < 480 ? 4 : 6).map((v) =>
        svg("text", { class: "tick", x: x(v), y: bottom + 18, "text-anchor": "middle" }, this.#options.format(v)),
      ),
      svg("text", { class: "axis", x: margin.left - 38, y: 14 }, this.#options.yAxis),
      svg("text", { class: "axis", x: width - margin.right, y: height - 6, "text-anchor": "end" }, this.#options.xAxis),
      paper.length > 0 &&
        svg("path", { class: "trend", d: `M${paper.map((point) => `${x(point.x)} ${y(point.y)}`).join("L")}` }),
      // Labels take turns above and below, so that those of near points stay apart.
      ...this.#points.map((point, i) => this.#mark(point, x(point.x), y(point.y), { width, above: i % 2 === 0 })),
    );
  }

  #mark(
    { kind, label, description }: ScatterPoint,
    cx: number,
    cy: number,
    { width, above }: { width: number; above: boolean },
  ): SVGElement {
    const shape =
      kind === "paper" || kind === "paper-base"
        ? svg("path", { class: "mark", d: `M${cx} ${cy - 6}L${cx + 6} ${cy}L${cx} ${cy + 6}L${cx - 6} ${cy}Z` })
        : svg("circle", { class: "mark", cx, cy, r: 6 });
    const right = cx < width - 64;
    return svg(
      "g",
      { class: `point ${kind}`, role: "img", tabindex: 0, "aria-label": description },
      svg("title", {}, description),
      shape,
      svg(
        "text",
        { x: right ? cx + 10 : cx - 10, y: above ? cy - 8 : cy + 17, "text-anchor": right ? "start" : "end" },
        label,
      ),
    );
  }
}
