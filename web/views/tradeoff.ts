import { ChartView } from "../charts.ts";
import type { Client } from "../client.ts";
import { h } from "../dom.ts";
import { PAPER } from "../paper.ts";
import { difficulties, recordingId, tradeoff, type Measured } from "../points.ts";
import type { Recordings } from "../recordings.ts";
import type { Selection } from "../selection.ts";
import type { Run } from "../session/protocol.ts";
import { format, text } from "../text.ts";

const t = text.tradeoff;

/** The runs of the model and the task that are chosen, with what they are measured against. */
export function measuredOf({ state }: Client, recordings: Recordings): Measured {
  const { runs, base, task, model } = state;
  const belongs = (run: Run) => run.scores && run.task === task.name && run.model === model.name;
  return { recordings, base, runs: runs.filter(belongs) };
}

/** Shows what a point of a trade-off stands for on the stage. */
export const pick =
  ({ state }: Client, recordings: Recordings, selection: Selection, open: (run: Run) => Promise<void>) =>
  ({ id }: { id?: string }): void => {
    const recorded = recordings.runs.find(({ alpha }) => recordingId(alpha) === id);
    const run = state.runs.find((one) => one.id === id);
    if (recorded) selection.set({ alpha: recorded.alpha, iteration: null });
    else if (run) void open(run);
  };

/** Accuracy against tokens of recordings, of one's own runs, and of what others measured; and tokens by difficulty. */
export function tradeoffView(
  client: Client,
  selection: Selection,
  recordings: Recordings,
  open: (run: Run) => Promise<void>,
): HTMLElement {
  const measured = () => measuredOf(client, recordings);
  const overlay = (id: string, label: string) => {
    const input = h("input", { type: "checkbox", id, onchange: () => show() });
    return { input, element: h("label", { for: id }, input, label) };
  };
  const cutoff = overlay("overlay-cutoff", t.overlayCutoff);
  const baselines = overlay("overlay-baselines", t.overlayBaselines);
  const paper = overlay("overlay", t.overlay);
  const set = h(
    "select",
    { "aria-label": t.set, onchange: () => show() },
    ...PAPER.map(({ name }, i) => h("option", { value: i }, name)),
  );
  const note = h("p", { class: "faint" });
  const overlays = () => ({
    cutoff: cutoff.input.checked,
    baselines: baselines.input.checked,
    paper: paper.input.checked ? Number(set.value) : null,
  });
  const height = (width: number) => Math.max(300, Math.min(420, 0.62 * width));
  const chart = new ChartView(tradeoff(measured(), overlays()), {
    height,
    onPick: pick(client, recordings, selection, open),
  });
  const byDifficulty = new ChartView(difficulties(measured(), selection.choice.alpha), { height });

  function show(): void {
    const chosen = overlays();
    const { facts } = recordings;
    set.hidden = chosen.paper === null;
    const table = chosen.paper === null ? null : PAPER[chosen.paper]!;
    note.textContent = [
      t.recordedNote(facts.iterations, facts.prompts, facts.adapter, facts.evaluated),
      ...(chosen.baselines ? [t.baselinesNote] : []),
      ...(table ? [t.paperNote(format.count(table.base.tokens)) + t.table(table.table)] : []),
    ].join(" ");
    chart.update(tradeoff(measured(), chosen));
    byDifficulty.update(difficulties(measured(), selection.choice.alpha));
  }

  client.subscribe((change) => {
    if (change === "runs" || change === "task") show();
  });
  selection.subscribe(() => byDifficulty.update(difficulties(measured(), selection.choice.alpha)));
  show();

  return h(
    "div",
    { class: "tradeoff" },
    h(
      "div",
      { class: "card stack" },
      h("div", { class: "overlay" }, cutoff.element, baselines.element, paper.element, set),
      chart.element,
      note,
    ),
    h("div", { class: "card stack" }, byDifficulty.element, h("p", { class: "faint" }, t.difficultyNote)),
  );
}
