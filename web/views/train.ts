import { ITERATIONS, type Chart } from "../../src/charts/chart.ts";
import { wholePercent } from "../../src/core/format.ts";
import { ChartView } from "../charts.ts";
import { confirmed, h } from "../dom.ts";
import type { Client } from "../client.ts";
import type { Phase, RlMetrics } from "../session/protocol.ts";
import { format, text } from "../text.ts";
import { groupPanel } from "./group.ts";

const t = text.train;

const CHARTS: {
  key: keyof RlMetrics;
  title: string;
  format: (value: number) => string;
  formatTick: (value: number) => string;
  range: readonly [number, number];
}[] = [
  {
    key: "completions/mean_length",
    title: t.charts.length,
    format: format.tokens,
    formatTick: (v) => v.toFixed(0),
    range: [0, 50],
  },
  { key: "accuracy", title: t.charts.accuracy, format: format.percent, formatTick: wholePercent, range: [0.5, 1] },
  { key: "reward", title: t.charts.reward, format: format.number, formatTick: (v) => v.toFixed(1), range: [0.4, 1] },
  {
    key: "completions/clipped_ratio",
    title: t.charts.truncated,
    format: format.percent,
    formatTick: wholePercent,
    range: [0, 0.2],
  },
];

/** Iterations of the running mean that is drawn over each curve. */
const SMOOTHING = 10;
const HEIGHT = 190;

function curve(
  { key, title, format: write, formatTick, range }: (typeof CHARTS)[number],
  metrics: readonly RlMetrics[],
  iterations: number,
): Chart {
  const points = metrics.map((row) => ({ x: row.iteration, y: row[key] as number }));
  return {
    title,
    headline: points.length > 0 ? write(points.at(-1)!.y) : "–",
    x: { ...ITERATIONS, range: [1, Math.max(2, iterations)] },
    y: { label: "", format: write, tick: formatTick, range },
    series: [{ name: title, points, line: "solid", smooth: SMOOTHING }],
    empty: t.empty,
  };
}

/** A number field's value, within its bounds. */
function wholeOf(field: HTMLInputElement): number {
  const value = Math.round(field.valueAsNumber) || 1;
  field.valueAsNumber = Math.max(Number(field.min), Math.min(Number(field.max), value));
  return field.valueAsNumber;
}

/** The alpha slider, the buttons, the curves, and the group that shows the rule. */
export function trainView(client: Client): HTMLElement {
  const { engine, state } = client;
  const alphaValue = h("output", { for: "alpha", class: "figure" });
  const alpha = h("input", {
    id: "alpha",
    type: "range",
    min: 0,
    max: 1,
    step: 0.05,
    value: 0.4,
    "aria-describedby": "alpha-hint",
    oninput: () => showAlpha(),
    onchange: () => void client.attempt(() => engine.setAlpha(Number(alpha.value))),
  });
  const iterations = h("input", { id: "iterations", type: "number", min: 1, max: 500, step: 1, value: 30 });
  const prompts = h("input", { id: "prompts", type: "number", min: 1, max: 64, step: 1, value: 8 });
  const showAlpha = () => {
    alphaValue.textContent = Number(alpha.value).toFixed(2);
    alpha.style.setProperty("--at", `${100 * Number(alpha.value)}%`);
  };
  showAlpha();

  const button = (label: string, className: string, action: () => Promise<unknown>) =>
    h("button", { class: className, type: "button", onclick: () => void client.attempt(action) }, label);
  const start = button(t.start, "primary", () =>
    engine.start({
      alphas: [Number(alpha.value)],
      pinned: "37+8-5+4=?",
      maxIterations: wholeOf(iterations),
      numPrompts: wholeOf(prompts),
    }),
  );
  const pause = button(t.pause, "", () => engine.pause());
  const resume = button(t.resume, "primary", () => engine.resume());
  const reset = button(t.reset, "quiet", async () => {
    const { run } = state.training;
    if (run && !run.scores && run.iteration > 0 && !(await confirmed(t.resetQuestion, t.reset, text.cancel))) return;
    await engine.reset();
    await client.refresh();
  });

  const status = h("p", { class: "status", role: "status" });
  const detail = h("p", { class: "faint detail" });
  const progress = h("progress", { max: 1, value: 0, "aria-label": t.title });

  const charts = CHARTS.map((chart) => ({ chart, view: new ChartView(curve(chart, [], 0), { height: () => HEIGHT }) }));
  const numbers = h("tbody");
  const group = groupPanel();

  function showTraining(): void {
    const { training, metrics, adapter } = state;
    const { phase, run, done, total } = training;
    const is = (...phases: Phase[]) => phases.includes(phase);
    const finished = phase === "idle" && run?.scores;
    start.hidden = !is("idle");
    start.disabled = !adapter;
    pause.hidden = !is("starting", "running", "evaluating", "pausing");
    pause.disabled = phase === "pausing";
    resume.hidden = !is("paused");
    resume.disabled = !adapter;
    reset.disabled = !run || phase === "pausing";
    iterations.disabled = prompts.disabled = !is("idle");
    if (run && !is("idle") && document.activeElement !== alpha) alpha.value = String(run.alpha);
    showAlpha();

    const spoken = finished ? t.finished : t.phases[phase];
    const headline = run ? `${spoken}, ${t.iteration(run.iteration, run.maxIterations)}` : spoken;
    if (status.textContent !== headline) status.textContent = headline; // said once, not at each response
    const last = metrics.slice(-5);
    const perIteration = last.reduce((sum, row) => sum + row.step_time, 0) / (last.length || 1);
    detail.textContent = [
      is("running", "evaluating") && total > 0 && (done < total ? t.sampled(done, total) : is("running") && t.updating),
      is("running") && run && last.length > 0 && t.left(perIteration * (run.maxIterations - run.iteration)),
    ]
      .filter(Boolean)
      .join(" · ");
    const share = total > 0 ? Math.min(done / total, 0.98) : 0;
    progress.value = run ? (is("evaluating") ? share : (run.iteration + share) / run.maxIterations) : 0;
    progress.classList.toggle("busy", is("starting", "running", "evaluating"));
  }

  function showIterations(): void {
    const { metrics, completions, training } = state;
    for (const { chart, view } of charts) view.update(curve(chart, metrics, training.run?.maxIterations ?? 0));
    numbers.replaceChildren(
      ...metrics.map((row) =>
        h(
          "tr",
          {},
          h("th", { scope: "row" }, row.iteration),
          h("td", {}, row.alpha.toFixed(2)),
          ...CHARTS.map((chart) => h("td", {}, chart.format(row[chart.key]))),
        ),
      ),
    );
    group.update(completions, metrics.at(-1)?.alpha ?? Number(alpha.value));
  }

  client.subscribe((change) => {
    if (change === "training" || change === "adapter") showTraining();
    if (change === "iteration") showIterations();
  });
  showTraining();
  showIterations();

  return h(
    "div",
    { class: "train" },
    h(
      "div",
      { class: "card controls" },
      h(
        "div",
        { class: "field alpha" },
        h("label", { for: "alpha" }, t.alpha, " ", h("i", { "aria-hidden": "true" }, "α")),
        alphaValue,
        alpha,
        h("p", { id: "alpha-hint", class: "faint" }, t.alphaHint),
      ),
      h("div", { class: "field short" }, h("label", { for: "iterations" }, t.iterations), iterations),
      h("div", { class: "field short" }, h("label", { for: "prompts" }, t.prompts), prompts),
      h("div", { class: "buttons" }, start, resume, pause, reset),
      h("div", { class: "progress" }, status, detail, progress),
    ),
    h(
      "div",
      { class: "charts", role: "group", "aria-label": t.chartsLabel },
      ...charts.map(({ view }) => view.element),
    ),
    h(
      "details",
      { class: "numbers" },
      h("summary", {}, t.numbers),
      h(
        "div",
        { class: "scroll", tabindex: 0, role: "group", "aria-label": t.numbers },
        h(
          "table",
          {},
          h(
            "thead",
            {},
            h(
              "tr",
              {},
              ...[t.iterationColumn, t.alpha, ...CHARTS.map(({ title }) => title)].map((title) =>
                h("th", { scope: "col" }, title),
              ),
            ),
          ),
          numbers,
        ),
      ),
    ),
    group.element,
  );
}
