import { confirmed, download, fileName, h } from "../dom.ts";
import type { Client } from "../client.ts";
import { alphaText, runName } from "../points.ts";
import type { Run } from "../session/protocol.ts";
import { format, text } from "../text.ts";

const t = text.runs;

/** The kept runs: opened on the stage, renamed, exported, deleted; and others' taken in. */
export function runsView(client: Client, open: (run: Run) => Promise<void>): HTMLElement {
  const { engine, state } = client;
  const rows = new Map<string, ReturnType<typeof runRow>>();
  const body = h("tbody");
  const empty = h("p", { class: "faint empty" }, t.empty);
  const file = h("input", {
    id: "import",
    type: "file",
    accept: ".gz",
    onchange: () => {
      const [chosen] = file.files ?? [];
      file.value = "";
      if (chosen) void client.attempt(() => engine.importRun(chosen));
    },
  });
  const table = h(
    "table",
    { tabindex: -1 },
    h("thead", {}, h("tr", {}, ...Object.values(t.columns).map((title) => h("th", { scope: "col" }, title)))),
    body,
  );

  function show(): void {
    const { runs } = state;
    table.hidden = runs.length === 0;
    empty.hidden = runs.length > 0;
    for (const [id, row] of rows) {
      if (runs.some((run) => run.id === id)) continue;
      row.element.remove();
      rows.delete(id);
    }
    for (const run of runs) {
      let row = rows.get(run.id);
      if (!row) {
        row = runRow(client, run.id, table, open);
        rows.set(run.id, row);
        body.append(row.element);
      }
      row.show(run);
    }
  }

  client.subscribe((change) => {
    if (change === "runs" || change === "phase") show();
    const { run } = state.training;
    if (change === "iteration" && run) rows.get(run.id)?.show(run);
  });
  show();

  return h(
    "div",
    { class: "card runs stack" },
    h(
      "div",
      { class: "row" },
      h("h3", {}, t.title),
      h("div", { class: "upload" }, file, h("label", { for: "import", class: "button small" }, t.import)),
    ),
    empty,
    table,
  );
}

/** A run's row. Its nodes stay, so that what is written or has the focus survives a change. */
function runRow(client: Client, id: string, table: HTMLElement, open: (run: Run) => Promise<void>) {
  const { engine } = client;
  let run: Run;
  const name = h("input", {
    type: "text",
    maxlength: 60,
    onchange: () => void client.attempt(() => engine.renameRun(id, name.value.trim())),
  });
  const action = (label: string, className: string, work: () => Promise<unknown>) =>
    h("button", { type: "button", class: `small ${className}`, onclick: () => void client.attempt(work) }, label);
  const buttons = {
    open: action(t.open, "", () => open(run)),
    export: action(t.export, "", async () => download(await engine.exportRun(id), `${fileName(runName(run))}.tar.gz`)),
    delete: action(t.delete, "quiet", async () => {
      if (!(await confirmed(t.deleteQuestion(runName(run)), t.delete, text.cancel))) return;
      await engine.deleteRun(id);
      table.focus(); // the button is gone
    }),
  };
  const cell = (label: string) => h("td", { "data-label": label });
  const { columns } = t;
  const cells = {
    what: cell(columns.what),
    alpha: cell(columns.alpha),
    iterations: cell(columns.iterations),
    accuracy: cell(columns.accuracy),
    tokens: cell(columns.tokens),
  };
  return {
    element: h(
      "tr",
      {},
      h("th", { scope: "row" }, name),
      ...Object.values(cells),
      h("td", {}, h("div", { class: "buttons" }, ...Object.values(buttons))),
    ),
    show(now: Run) {
      run = now;
      const called = runName(run);
      if (document.activeElement !== name) name.value = called;
      name.setAttribute("aria-label", t.rename(called));
      for (const [key, button] of Object.entries(buttons))
        button.setAttribute("aria-label", t.actionOf[key as keyof typeof buttons](called));
      const { scores } = run;
      cells.what.textContent = t.what(run.model, run.task);
      cells.alpha.textContent = alphaText(run);
      cells.iterations.textContent = `${run.iteration} / ${run.maxIterations}`;
      cells.accuracy.textContent = scores ? format.percent(scores.accuracy) : t.unfinished;
      cells.tokens.textContent = scores ? format.tokens(scores.mean_length) : "–";
      // One that is under way can only be reset.
      const under = client.state.training.run?.id === id && client.state.training.phase !== "idle";
      buttons.delete.disabled = buttons.open.disabled = under;
    },
  };
}
