import type { Client } from "../client.ts";
import { h } from "../dom.ts";
import { text } from "../text.ts";
import { tokenChips } from "./chips.ts";
import { dropZone, type Dropped } from "./drop-zone.ts";

const t = text.own;
const BUILT_IN = "arithmetic";

/** A file of problems to train on, and what the model reads of the first. */
export function problemsView(client: Client): HTMLElement {
  const { engine } = client;
  const taskLine = h("p", { role: "status" });
  const builtIn = h(
    "button",
    {
      type: "button",
      class: "quiet small",
      hidden: true,
      onclick: () =>
        void client.attempt(async () => {
          await engine.chooseProblems(BUILT_IN);
          await client.refresh();
        }),
    },
    t.builtIn,
  );
  const reads = h("p", { class: "faint" });
  const first = tokenChips(t.first, (pieces) => pieces.map(() => "work"));
  const show = () => {
    const { task, model } = client.state;
    const { name, numTrain, numTest, dropped, pieces } = task;
    reads.textContent = pieces.length > 0 ? t.reads(model.name, pieces.length) : "";
    first.show(pieces);
    const rows = Object.entries(dropped).map(([reason, n]) => `${n} (${reason})`);
    taskLine.className = "faint";
    taskLine.textContent = [
      t.task(name, numTrain, numTest),
      ...(rows.length > 0 ? [t.dropped(rows.join(", "))] : []),
    ].join("; ");
    builtIn.hidden = name === BUILT_IN;
  };
  async function add({ files: [file] }: Dropped): Promise<void> {
    if (!file) return;
    try {
      await engine.addProblems(file);
      await client.refresh();
    } catch (error) {
      taskLine.className = "error";
      taskLine.textContent = `${t.bad} ${(error as Error).message}`;
    }
  }
  client.subscribe((change) => {
    if (change === "task") show();
  });
  show();

  return h(
    "div",
    { class: "card stack" },
    h("h3", {}, t.problems),
    h("p", { class: "faint" }, t.problemsLead),
    dropZone({ id: "problems", words: t.dropProblems, choose: t.chooseProblems, folder: false }, add),
    taskLine,
    h("div", {}, builtIn),
    reads,
    first.element,
  );
}
