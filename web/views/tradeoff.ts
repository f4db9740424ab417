import type { Chart, Point, Series } from "../../src/charts/chart.ts";
import { wholePercent } from "../../src/core/format.ts";
import { ChartView } from "../charts.ts";
import { confirmed, download, fileName, h } from "../dom.ts";
import type { Client } from "../client.ts";
import { PAPER } from "../paper.ts";
import type { Run } from "../session/protocol.ts";
import { format, text } from "../text.ts";

const t = text.tradeoff;

export const runName = ({ name, alpha }: Run): string => name || t.unnamed(alpha);

const alphaText = ({ alpha, alphaChanged }: Run): string => (alphaChanged ? t.changed(alpha) : alpha.toFixed(2));

/** Every finished run as a point, the paper's as an overlay, and the list of kept runs. */
export function tradeoffView(client: Client): HTMLElement {
  const { engine, state } = client;
  const chart = new ChartView(scatter([]), { height: (width) => Math.max(300, Math.min(420, 0.62 * width)) });
  const overlay = h("input", { type: "checkbox", id: "overlay", onchange: () => showChart() });
  const set = h(
    "select",
    { "aria-label": t.set, onchange: () => showChart() },
    ...PAPER.map(({ name }, i) => h("option", { value: i }, name)),
  );
  const note = h("p", { class: "faint" });
  const rows = h("tbody");
  const empty = h("p", { class: "faint empty" }, t.empty);
  const kept = h(
    "div",
    { class: "scroll", role: "group", tabindex: 0, "aria-label": t.runs },
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, ...Object.values(t.columns).map((title) => h("th", { scope: "col" }, title)))),
      rows,
    ),
  );

  function showChart(): void {
    const { base, runs, task } = state;
    const finished = runs.filter((run) => run.scores && run.task === task.name);
    const yours = finished.map((run): Point => {
      const { mean_length: tokens, accuracy } = run.scores!;
      return { x: tokens / (base?.mean_length ?? tokens), y: accuracy, label: `α ${alphaText(run)}` };
    });
    const series: Series[] = [
      { name: t.yours, points: yours, markers: true },
      { name: t.baseName, points: base ? [{ x: 1, y: base.accuracy }] : [], markers: true },
    ];
    set.hidden = note.hidden = !overlay.checked;
    if (overlay.checked) {
      const paper = PAPER[Number(set.value)]!;
      const { tokens } = paper.base;
      const runs = paper.runs.map((run) => ({ x: run.tokens / tokens, y: run.accuracy, label: `α ${run.alpha}` }));
      const points = [...runs, { x: 1, y: paper.base.accuracy }].toSorted((p, q) => p.x - q.x);
      series.push({ name: t.paper, points, line: "dashed", markers: true });
      note.textContent = t.paperNote(format.count(tokens)) + t.table(paper.table);
    }
    chart.update(scatter(series));
    empty.hidden = finished.length > 0;
  }

  function showRuns(): void {
    // A name that is being written is not written over.
    if (rows.contains(document.activeElement) && document.activeElement instanceof HTMLInputElement) return;
    const { base, runs, training } = state;
    rows.replaceChildren(
      ...(base
        ? [
            row(
              h("span", {}, t.baseName),
              "–",
              "0",
              format.percent(base.accuracy),
              format.tokens(base.mean_length),
              null,
            ),
          ]
        : []),
      ...runs.map((run) => {
        const name = runName(run);
        const { scores } = run;
        const under = training.run?.id === run.id && training.phase !== "idle" ? training.run : run;
        return row(
          h("input", {
            type: "text",
            value: name,
            maxlength: 60,
            "aria-label": `${t.rename}: ${name}`,
            onchange: (event: Event) => {
              const { value } = event.target as HTMLInputElement;
              (event.target as HTMLInputElement).blur();
              void client.attempt(() => engine.renameRun(run.id, value.trim()));
            },
          }),
          alphaText(run),
          h("span", { "data-run": run.id }, progressOf(under)),
          scores ? format.percent(scores.accuracy) : t.unfinished,
          scores ? format.tokens(scores.mean_length) : "–",
          h(
            "div",
            { class: "buttons" },
            action(t.export, t.exportOf(name), async () =>
              download(await engine.exportRun(run.id), `${fileName(name)}.tar.gz`),
            ),
            scores &&
              action(t.delete, t.deleteOf(name), async () => {
                if (!(await confirmed(t.deleteQuestion(name), t.delete, text.cancel))) return;
                await engine.deleteRun(run.id);
                kept.focus(); // the button is gone
              }),
          ),
        );
      }),
    );
  }

  const action = (label: string, description: string, work: () => Promise<unknown>) =>
    h(
      "button",
      { type: "button", class: "small", "aria-label": description, onclick: () => void client.attempt(work) },
      label,
    );

  client.subscribe((change) => {
    if (change === "runs" || change === "task") showChart();
    if (change === "runs") showRuns();
    const { run } = state.training;
    const progress = run && rows.querySelector(`[data-run="${run.id}"]`);
    if (change === "iteration" && progress) progress.textContent = progressOf(run);
  });
  showChart();

  return h(
    "div",
    { class: "tradeoff" },
    h(
      "div",
      { class: "card stack" },
      h("div", { class: "overlay" }, h("label", { for: "overlay" }, overlay, t.overlay), set),
      chart.element,
      empty,
      note,
    ),
    h("div", { class: "card runs" }, h("h3", {}, t.runs), kept),
  );
}

const progressOf = ({ iteration, maxIterations }: Run): string => `${iteration} / ${maxIterations}`;

const scatter = (series: readonly Series[]): Chart => ({
  title: t.chart,
  x: { label: t.xAxis, format: wholePercent, range: [0, 1.05] },
  y: { label: t.yAxis, format: format.percent, tick: wholePercent, range: [0.7, 1] },
  series,
});

function row(name: HTMLElement, ...cells: (string | HTMLElement | null)[]): HTMLElement {
  return h("tr", {}, h("th", { scope: "row" }, name), ...cells.map((cell) => h("td", {}, cell)));
}
