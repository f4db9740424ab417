import type { Chart } from "../src/charts/chart.ts";
import { addReadings, readingsOf, type Reading } from "../src/charts/readings.ts";
import { CHART_STYLE } from "../src/charts/style.ts";
import { tableOf } from "../src/charts/table.ts";
import { download, fileName, h } from "./dom.ts";
import { pngOf, svgOf } from "./export.ts";
import { text } from "./text.ts";

// A sheet of the page's own making is let in by its policy, an inline style is not.
const sheet = new CSSStyleSheet();
sheet.replaceSync(CHART_STYLE);
document.adoptedStyleSheets.push(sheet);

/** The drawing library is most of the page's script, and nothing on arrival waits for it. */
const library = import("../src/charts/draw.ts");
type Draw = Awaited<typeof library>["draw"];

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

export interface ChartViewOptions {
  /** In pixels, of a drawing of that width. */
  height: (width: number) => number;
  /** Called with what a click, or Enter on what the arrow keys are at, picks. */
  onPick?: (reading: Reading) => void;
}

/** A chart that follows its data: read by the pointer or the arrow keys, listed in a table, and exported. */
export class ChartView {
  readonly element: HTMLElement;
  readonly #options: ChartViewOptions;
  readonly #plot: HTMLElement;
  readonly #title = h("span");
  readonly #headline = h("span", { class: "figure" });
  readonly #spoken = h("p", { class: "visually-hidden", "aria-live": "polite" });
  readonly #table = h("div", { class: "scroll", tabindex: 0, role: "group" });
  readonly #details: HTMLDetailsElement;
  #chart: Chart;
  #width = 0;
  #drawing: ReturnType<Draw> | null = null;
  /** Places to point at, made when a hand or the keyboard comes near. */
  #places: { reading: Reading; element: SVGElement }[] | null = null;
  /** Of the reading that the arrow keys are at; null when they are at none. */
  #at: number | null = null;

  constructor(chart: Chart, options: ChartViewOptions) {
    this.#chart = chart;
    this.#options = options;
    this.#plot = h("div", {
      class: options.onPick ? "plot pickable" : "plot",
      tabindex: 0,
      role: "group",
      onkeydown: (event: KeyboardEvent) => this.#onKey(event),
      onpointerenter: () => this.#read(),
      onclick: (event: Event) =>
        this.#pick(this.#read().find(({ element }) => element.contains(event.target as Element))?.reading),
      onblur: () => this.#go(null),
    });
    this.#details = h("details", { ontoggle: () => this.#list() }, h("summary", {}, text.charts.table), this.#table);
    this.element = h(
      "figure",
      { class: "chart" },
      h("figcaption", {}, this.#title, this.#headline),
      this.#plot,
      this.#spoken,
      h(
        "div",
        { class: "chart-foot" },
        this.#details,
        this.#exporter("SVG", (drawing, title) => new Blob([svgOf(drawing, title)], { type: "image/svg+xml" })),
        this.#exporter("PNG", pngOf),
      ),
    );
    new ResizeObserver(([entry]) => {
      const width = Math.floor(entry!.contentRect.width);
      if (width === this.#width) return;
      this.#width = width;
      // What is below keeps its place when the drawing comes.
      this.#plot.style.minHeight = `${this.#height}px`;
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

  get #height(): number {
    return Math.round(this.#options.height(this.#width));
  }

  redraw(draw: Draw): void {
    if (this.#width === 0) return;
    this.#drawing = draw(document, this.#chart, { width: this.#width, height: this.#height });
    this.#plot.replaceChildren(this.#drawing);
    this.#places = null;
    if (this.#at !== null) this.#go(this.#at);
    else if (this.#plot.matches(":hover")) this.#read();
  }

  #read(): { reading: Reading; element: SVGElement }[] {
    if (!this.#drawing) return [];
    if (!this.#places) {
      const readings = readingsOf(this.#chart);
      const elements = addReadings(document, this.#drawing, readings);
      this.#places = readings.map((reading, i) => ({ reading, element: elements[i]! }));
    }
    return this.#places;
  }

  #onKey(event: KeyboardEvent): void {
    if (event.key === "Enter" && this.#at !== null) this.#pick(this.#read()[this.#at]?.reading);
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const { length } = this.#read();
    if (length > 0) this.#go(Math.max(0, Math.min(length - 1, (this.#at ?? length) + step)));
  }

  #pick(reading: Reading | undefined): void {
    if (reading) this.#options.onPick?.(reading);
  }

  #go(at: number | null): void {
    this.#at = at;
    const places = at === null ? (this.#places ?? []) : this.#read();
    places.forEach(({ element }, i) => element.classList.toggle("read", i === at));
    this.#spoken.textContent = at === null ? "" : (places[at]?.reading.lines.join(", ") ?? "");
  }

  /** The table is written when it is looked at. */
  #list(): void {
    if (this.#details.open) this.#table.innerHTML = tableOf(this.#chart).markup;
  }

  #exporter(kind: "SVG" | "PNG", make: (drawing: SVGSVGElement, title: string) => Blob | Promise<Blob>): HTMLElement {
    return h(
      "button",
      {
        type: "button",
        class: "small quiet",
        "aria-label": text.charts.exportAs(kind),
        onclick: async () => {
          const { title } = this.#chart;
          if (this.#drawing) download(await make(this.#drawing, title), `${fileName(title)}.${kind.toLowerCase()}`);
        },
      },
      kind,
    );
  }
}
