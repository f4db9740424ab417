import type { Chart } from "../src/charts/chart.ts";
import { addReadings, readingsOf } from "../src/charts/readings.ts";
import { CHART_STYLE } from "../src/charts/style.ts";
import { tableOf } from "../src/charts/table.ts";
import { h } from "./dom.ts";
import { text } from "./text.ts";

// A sheet of the page's own making is let in by its policy, an inline style is not.
const sheet = new CSSStyleSheet();
sheet.replaceSync(CHART_STYLE);
document.adoptedStyleSheets.push(sheet);

/** The drawing library is most of the page's script, and nothing on arrival waits for it. */
const library = import("../src/charts/draw.ts");

/** Charts whose data or size changed. One is drawn in a frame, so that no frame waits for all. */
const changed = new Set<ChartView>();

function drawLater(view: ChartView): void {
  if (changed.size === 0) requestAnimationFrame(() => void drawNext());
  changed.add(view);
}

async function drawNext(): Promise<void> {
  const { draw } = await library;
  const [view] = changed;
  changed.delete(view!);
  view!.redraw(draw);
  if (changed.size > 0) requestAnimationFrame(() => void drawNext());
}

/** A chart that follows its data: read by the pointer or the arrow keys, and as a table. */
export class ChartView {
  readonly element: HTMLElement;
  readonly #height: (width: number) => number;
  readonly #plot: HTMLElement;
  readonly #title = h("span");
  readonly #headline = h("span", { class: "figure" });
  readonly #spoken = h("p", { class: "visually-hidden", "aria-live": "polite" });
  readonly #table = h("div", { class: "scroll", tabindex: 0, role: "group" });
  readonly #details: HTMLDetailsElement;
  #chart: Chart;
  #width = 0;
  /** Places to point at; made when a hand or the keyboard comes near. */
  #readings: SVGGElement[] | null = null;
  #drawing: Parameters<typeof addReadings>[1] | null = null;
  /** Of the reading that the arrow keys are at; null when they are at none. */
  #at: number | null = null;

  constructor(chart: Chart, height: (width: number) => number) {
    this.#chart = chart;
    this.#height = height;
    this.#plot = h("div", {
      class: "plot",
      tabindex: 0,
      role: "group",
      onkeydown: (event: KeyboardEvent) => this.#onKey(event),
      onpointerenter: () => this.#read(),
      onblur: () => this.#go(null),
    });
    this.#details = h("details", { ontoggle: () => this.#list() }, h("summary", {}, text.charts.table), this.#table);
    this.element = h(
      "figure",
      { class: "chart" },
      h("figcaption", {}, this.#title, this.#headline),
      this.#plot,
      this.#spoken,
      this.#details,
    );
    new ResizeObserver(([entry]) => {
      const width = Math.floor(entry!.contentRect.width);
      if (width === this.#width) return;
      this.#width = width;
      drawLater(this);
    }).observe(this.#plot);
    this.update(chart);
  }

  update(chart: Chart): void {
    this.#chart = chart;
    this.#title.textContent = chart.title;
    this.#headline.textContent = chart.headline ?? "";
    this.#plot.setAttribute("aria-label", `${chart.title}. ${text.charts.hint}`);
    this.#table.setAttribute("aria-label", chart.title);
    this.#list();
    drawLater(this);
  }

  /** The drawing as it stands, for an export; null before the first. */
  get drawing(): SVGSVGElement | null {
    return this.#drawing;
  }

  redraw(draw: (typeof import("../src/charts/draw.ts"))["draw"]): void {
    if (this.#width === 0) return;
    const width = this.#width;
    this.#drawing = draw(document, this.#chart, { width, height: Math.round(this.#height(width)) });
    this.#plot.replaceChildren(this.#drawing);
    this.#readings = null;
    if (this.#at !== null) this.#go(this.#at);
    else if (this.#plot.matches(":hover")) this.#read();
  }

  #read(): SVGGElement[] {
    if (!this.#drawing) return [];
    this.#readings ??= addReadings(document, this.#drawing, readingsOf(this.#chart));
    return this.#readings;
  }

  #onKey(event: KeyboardEvent): void {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const { length } = this.#read();
    if (length > 0) this.#go(Math.max(0, Math.min(length - 1, (this.#at ?? length) + step)));
  }

  #go(at: number | null): void {
    this.#at = at;
    const readings = at === null ? (this.#readings ?? []) : this.#read();
    readings.forEach((reading, i) => reading.classList.toggle("read", i === at));
    this.#spoken.textContent = at === null ? "" : (readingsOf(this.#chart)[at]?.lines.join(", ") ?? "");
  }

  /** The table is written when it is looked at. */
  #list(): void {
    if (this.#details.open) this.#table.innerHTML = tableOf(this.#chart).markup;
  }
}
