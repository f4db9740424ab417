import { Client, NoWorkerError } from "./client.ts";
import { h, svg } from "./dom.ts";
import { fetchRecordings } from "./recordings.ts";
import { Selection } from "./selection.ts";
import { text } from "./text.ts";
import { benchmarkView } from "./views/benchmark.ts";
import { notices } from "./views/notices.ts";
import { ownView } from "./views/own.ts";
import { problemsView } from "./views/problems.ts";
import { runsView } from "./views/runs.ts";
import { stageView } from "./views/stage.ts";
import { tradeoffView } from "./views/tradeoff.ts";
import { tryView } from "./views/try.ts";

const PAPER = "https://arxiv.org/abs/2502.04463";
const CODE = "https://github.com/Zanette-Labs/efficient-reasoning";

const SECTIONS = [
  { id: "tradeoff", words: text.tradeoff },
  { id: "try", words: text.try },
  { id: "own", words: text.own },
  { id: "benchmark", words: text.benchmark },
];

const shelf = notices();
const adapter = h("p", { class: "adapter", id: "adapter", role: "status" }, text.opening);
const opening = h(
  "div",
  { class: "opening" },
  h("h1", {}, text.tagline),
  h(
    "p",
    { class: "idea" },
    `${text.idea.why} ${text.idea.how} ${text.idea.knob}`,
    h("a", { href: PAPER }, text.idea.paper),
    text.idea.authors,
    h("a", { href: CODE }, text.idea.code),
    text.idea.end,
  ),
);
const main = h("main", { id: "main", tabindex: -1 }, opening);
const selection = new Selection(location.search);
const recordings = fetchRecordings();

document.title = text.documentTitle;
document.body.prepend(
  h("a", { class: "skip", href: "#main" }, text.skip),
  h(
    "header",
    {},
    h(
      "div",
      { class: "bar-top" },
      h("a", { class: "brand", href: "#main" }, mark(), h("span", {}, text.title)),
      h(
        "nav",
        { "aria-label": text.nav },
        h("ul", {}, ...SECTIONS.map(({ id, words }) => h("li", {}, h("a", { href: `#${id}` }, words.title)))),
      ),
      adapter,
      shareButton(),
    ),
  ),
  main,
  h("footer", {}, text.footer, " ", h("a", { href: "./lend/index.html" }, text.lend)),
  shelf.element,
);

void begin(new Client((kind, detail) => shelf.show(kind, detail)));

async function begin(client: Client): Promise<void> {
  client.subscribe((change) => {
    if (change === "adapter") showAdapter(client.state.adapter ?? "");
    if (change === "phase") shelf.trainingChanged();
  });
  tellOfHiding(client);
  let recorded: Awaited<typeof recordings>;
  try {
    recorded = await recordings;
  } catch (error) {
    return shelf.show("incomplete", (error as Error).message);
  }
  const stage = stageView(client, selection, recorded);
  stage.element.prepend(opening);
  main.append(stage.element);
  // What is below it is laid out in a frame of its own.
  await nextFrame();
  const views: Record<string, Node[]> = {
    tradeoff: [tradeoffView(client, selection, recorded, stage.open), runsView(client, stage.open)],
    try: [tryView(client)],
    own: [h("div", { class: "own" }, ownView(client), problemsView(client))],
    benchmark: [benchmarkView(client)],
  };
  main.append(
    ...SECTIONS.map(({ id, words }) =>
      h(
        "section",
        { id, "aria-labelledby": `${id}-title` },
        h("h2", { id: `${id}-title` }, words.title),
        h("p", { class: "lead" }, words.lead),
        ...views[id]!,
      ),
    ),
  );
  // Without it everything works, but not without a network.
  addEventListener("load", keepPage);
  if (document.readyState === "complete") keepPage();
  client.open().catch((error: unknown) => {
    showAdapter("");
    shelf.show(error instanceof NoWorkerError ? "no-worker" : "worker-failed", (error as Error).message);
  });
  // The browser looked for what the address names before it was there.
  await nextFrame();
  document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

/** After the next frame is painted; at once in a hidden tab, which paints none. */
function nextFrame(): Promise<void> {
  return new Promise((resolve) => {
    if (document.hidden) resolve();
    else requestAnimationFrame(() => setTimeout(resolve));
  });
}

function keepPage(): void {
  if (location.protocol !== "file:") navigator.serviceWorker?.register("./sw.js").catch(() => {});
}

function showAdapter(name: string): void {
  adapter.replaceChildren(
    ...(name ? [h("span", {}, text.adapter, h("span", { class: "name" }, text.adapterName(name)))] : [text.noAdapter]),
  );
  adapter.className = `adapter ${name ? "on" : "off"}`;
}

/** Copies the address of what is shown. */
function shareButton(): HTMLElement {
  const words = h("span", { "aria-live": "polite" }, text.share.copy);
  const say = (said: string) => {
    words.textContent = said;
    setTimeout(() => (words.textContent = text.share.copy), 2000);
  };
  return h(
    "button",
    {
      type: "button",
      class: "small share",
      onclick: () => {
        history.replaceState(null, "", selection.link);
        navigator.clipboard.writeText(selection.link).then(
          () => say(text.share.copied),
          () => say(text.share.failed),
        );
      },
    },
    words,
  );
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
