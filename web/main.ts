import { h, svg } from "./dom.ts";
import { Client } from "./client.ts";
import { text } from "./text.ts";
import { benchmarkView } from "./views/benchmark.ts";
import { notices } from "./views/notices.ts";
import { ownView } from "./views/own.ts";
import { tradeoffView } from "./views/tradeoff.ts";
import { trainView } from "./views/train.ts";
import { tryView } from "./views/try.ts";

const SECTIONS = [
  { id: "try", words: text.try, view: tryView },
  { id: "train", words: text.train, view: trainView },
  { id: "tradeoff", words: text.tradeoff, view: tradeoffView },
  { id: "own", words: text.own, view: ownView },
  { id: "benchmark", words: text.benchmark, view: benchmarkView },
];

const shelf = notices();
const adapter = h("p", { class: "adapter", id: "adapter", role: "status" }, text.opening);
const main = h("main", { id: "main", tabindex: -1 }, shelf.element);

document.title = `${text.title}: ${text.tagline}`;
document.body.prepend(
  h("a", { class: "skip", href: "#main" }, text.skip),
  h(
    "header",
    {},
    h("div", { class: "brand" }, mark(), h("span", {}, text.title), adapter),
    h("h1", {}, text.tagline),
    h("p", { class: "intro" }, text.lead),
    h("p", { class: "source" }, text.source),
  ),
  h(
    "nav",
    { "aria-label": text.nav },
    h("ul", {}, ...SECTIONS.map(({ id, words }) => h("li", {}, h("a", { href: `#${id}` }, words.title)))),
  ),
  main,
  h("footer", {}, text.footer),
);

try {
  begin(new Client((kind, detail) => shelf.show(kind, detail)));
} catch (error) {
  showAdapter("");
  shelf.show("no-worker", (error as Error).message);
}

function begin(client: Client): void {
  for (const { id, words, view } of SECTIONS) {
    main.append(
      h(
        "section",
        { id, "aria-labelledby": `${id}-title` },
        h("h2", { id: `${id}-title` }, words.title),
        h("p", { class: "lead" }, words.lead),
        view(client),
      ),
    );
  }
  client.subscribe((change) => {
    if (change === "adapter") showAdapter(client.state.adapter ?? "");
  });
  tellOfHiding(client);
  client.open().catch((error: unknown) => {
    showAdapter("");
    shelf.show("worker-failed", (error as Error).message);
  });
}

function showAdapter(name: string): void {
  adapter.textContent = name ? text.adapter(name) : text.noAdapter;
  adapter.className = `adapter ${name ? "on" : "off"}`;
}

/** The worker goes on in a hidden tab; on coming back the page says how far. */
function tellOfHiding(client: Client): void {
  let before: number | null = null;
  document.addEventListener("visibilitychange", () => {
    const { phase, run } = client.state.training;
    if (document.hidden) before = phase === "running" && run ? run.iteration : null;
    else if (before !== null) {
      const done = (run?.iteration ?? before) - before;
      if (done > 0) client.notice("hidden", text.train.whileHidden(done));
      before = null;
    }
  });
}

/** A slice of orange: the pith is what is taken off. */
function mark(): SVGElement {
  return svg(
    "svg",
    { viewBox: "0 0 32 32", "aria-hidden": "true" },
    svg("circle", { cx: 16, cy: 16, r: 15, fill: "#c2570c" }),
    svg("circle", { cx: 16, cy: 16, r: 12, fill: "#fff6e6" }),
    svg("circle", { cx: 16, cy: 16, r: 10.5, fill: "#f29a3f" }),
    svg("path", {
      d: "M16 5.5v21M6.9 10.75l18.2 10.5M25.1 10.75L6.9 21.25",
      stroke: "#fff6e6",
      "stroke-width": 1.6,
      fill: "none",
    }),
    svg("circle", { cx: 16, cy: 16, r: 2.4, fill: "#fff6e6" }),
  );
}
