import { confirmed, h } from "../dom.ts";
import type { Client } from "../client.ts";
import { ALPHA_STEP, LARGEST_ALPHA, type Selection } from "../selection.ts";
import type { Phase } from "../session/protocol.ts";
import { text } from "../text.ts";
import { streamView } from "./stream.ts";

const t = text.train;

/** Alphas of the recordings that the slider is marked at, and that playing stops at. */
const STOPS = [0, 0.05, 0.1, 0.2, 0.4];
/** Milliseconds that playing rests at each. */
const STOP_MS = 1800;

/** A number field's value, within its bounds. */
function wholeOf(field: HTMLInputElement): number {
  const value = Math.round(field.valueAsNumber) || 1;
  field.valueAsNumber = Math.max(Number(field.min), Math.min(Number(field.max), value));
  return field.valueAsNumber;
}

/** The knob, what starts and ends training, and where it stands. */
export function controls(client: Client, selection: Selection, pinned: () => string): HTMLElement {
  const { engine, state } = client;
  const alphaValue = h("output", { for: "alpha", class: "figure" });
  const alpha = h("input", {
    id: "alpha",
    type: "range",
    min: 0,
    max: LARGEST_ALPHA,
    step: ALPHA_STEP,
    list: "alphas",
    "aria-describedby": "alpha-hint",
    oninput: () => {
      player.stop();
      selection.set({ alpha: Number(alpha.value) });
    },
    onchange: () => void client.attempt(() => engine.setAlpha(Number(alpha.value))),
  });
  const stops = h("datalist", { id: "alphas" }, ...STOPS.map((stop) => h("option", { value: stop }, stop)));
  const player = alphaPlayer(selection);
  const iterations = h("input", { id: "iterations", type: "number", min: 1, max: 500, step: 1, value: 30 });
  const prompts = h("input", { id: "prompts", type: "number", min: 1, max: 64, step: 1, value: 8 });

  const button = (label: string, className: string, action: () => Promise<unknown>) =>
    h("button", { class: className, type: "button", onclick: () => void client.attempt(action) }, label);
  const begin = (alphas: number[]) => {
    player.stop();
    selection.set({ iteration: null });
    return engine.start({
      alphas,
      maxIterations: wholeOf(iterations),
      numPrompts: wholeOf(prompts),
      pinned: pinned(),
    });
  };
  const start = button(t.start, "primary", () => begin([Number(alpha.value)]));
  const sweep = button(t.sweep, "", () => begin(STOPS.slice(1)));
  sweep.title = t.sweepHint;
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

  function show(): void {
    const { training, metrics, adapter } = state;
    const { phase, run, done, total, queue } = training;
    const is = (...phases: Phase[]) => phases.includes(phase);
    start.hidden = sweep.hidden = !is("idle");
    start.disabled = sweep.disabled = !adapter;
    pause.hidden = !is("starting", "running", "evaluating", "pausing");
    pause.disabled = phase === "pausing";
    resume.hidden = !is("paused");
    resume.disabled = !adapter;
    reset.hidden = !run;
    reset.disabled = phase === "pausing";
    player.element.hidden = run !== null;
    iterations.disabled = prompts.disabled = !is("idle");
    if (run && !is("idle")) {
      iterations.value = String(run.maxIterations);
      prompts.value = String(run.numPrompts);
    }

    const spoken = phase === "idle" && run?.scores ? t.finished : t.phases[phase];
    const headline = run ? `${spoken}, ${t.iteration(run.iteration, run.maxIterations)}` : "";
    if (status.textContent !== headline) status.textContent = headline; // said once, not at each response
    const last = metrics.slice(-5);
    const perIteration = last.reduce((sum, row) => sum + row.step_time, 0) / (last.length || 1);
    detail.textContent = [
      is("running", "evaluating") && total > 0 && (done < total ? t.sampled(done, total) : is("running") && t.updating),
      is("running") && run && last.length > 0 && t.left(perIteration * (run.maxIterations - run.iteration)),
      queue.length > 0 && t.queued(queue),
    ]
      .filter(Boolean)
      .join(" · ");
    const share = total > 0 ? Math.min(done / total, 0.98) : 0;
    progress.hidden = !run;
    progress.value = run ? (is("evaluating") ? share : (run.iteration + share) / run.maxIterations) : 0;
    document.title = run && !is("idle") ? `${run.iteration}/${run.maxIterations} · ${text.title}` : text.documentTitle;
  }

  let shownRun: string | undefined;
  const showAlpha = () => {
    const chosen = selection.choice.alpha;
    if (Number(alpha.value) !== chosen) alpha.value = String(chosen);
    alphaValue.textContent = chosen.toFixed(2);
    alpha.style.setProperty("--at", `${(100 * chosen) / LARGEST_ALPHA}%`);
  };
  selection.subscribe(showAlpha);
  client.subscribe((change) => {
    if (!["training", "adapter", "iteration"].includes(change)) return;
    const { run, phase } = state.training;
    if (run && phase !== "idle" && document.activeElement !== alpha) selection.set({ alpha: run.alpha });
    if (run?.id !== shownRun) player.stop();
    shownRun = run?.id;
    show();
  });
  showAlpha();
  show();

  return h(
    "div",
    { class: "controls" },
    h(
      "div",
      { class: "field alpha" },
      h("label", { for: "alpha" }, t.alpha, " ", h("i", { "aria-hidden": "true" }, "α")),
      alphaValue,
      h("p", { id: "alpha-hint", class: "hint" }, t.alphaHint),
      player.element,
      alpha,
      stops,
    ),
    h("div", { class: "field short" }, h("label", { for: "iterations" }, t.iterations), iterations),
    h("div", { class: "field short" }, h("label", { for: "prompts" }, t.prompts), prompts),
    h("div", { class: "buttons" }, start, sweep, resume, pause, reset),
    h("div", { class: "progress" }, status, detail, progress, streamView(client)),
  );
}

/** Moves alpha through the recordings once, on arrival and when it is asked to; not for those who want no motion. */
function alphaPlayer(selection: Selection): { element: HTMLButtonElement; stop: () => void } {
  let timer: ReturnType<typeof setInterval> | undefined;
  const stop = () => {
    clearInterval(timer);
    timer = undefined;
    element.textContent = t.play;
  };
  const play = () => {
    let at = 0;
    element.textContent = t.stop;
    selection.set({ alpha: STOPS[at]!, iteration: null });
    timer = setInterval(() => {
      at++;
      selection.set({ alpha: STOPS[at]! });
      if (at === STOPS.length - 1) stop();
    }, STOP_MS);
  };
  const element = h(
    "button",
    { type: "button", class: "small", onclick: () => (timer === undefined ? play() : stop()) },
    t.play,
  );
  if (location.search === "" && !matchMedia("(prefers-reduced-motion: reduce)").matches) play();
  return { element, stop };
}
