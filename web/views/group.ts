import { h } from "../dom.ts";
import { NUM_GENERATIONS, type RolloutRow } from "../session/protocol.ts";
import { format, text } from "../text.ts";

const t = text.train.group;

/** The responses to one prompt as bars, each with its verdict, reward and advantage. */
export function groupPanel(): {
  element: HTMLElement;
  update: (completions: readonly RolloutRow[], alpha: number) => void;
} {
  let groups: RolloutRow[][] = [];
  let shown = 0;
  const body = h("tbody");
  const problem = h("p", { class: "problem" });
  const position = h("span", { role: "status" });
  const step = (by: number) => {
    shown = (shown + by + groups.length) % groups.length;
    draw();
  };
  const previous = h(
    "button",
    { type: "button", class: "round", "aria-label": t.previous, onclick: () => step(-1) },
    "‹",
  );
  const next = h("button", { type: "button", class: "round", "aria-label": t.next, onclick: () => step(1) }, "›");
  const empty = h("p", { class: "faint empty" }, t.empty);
  const table = h(
    "table",
    { class: "group" },
    h(
      "thead",
      {},
      h("tr", {}, ...Object.entries(t.columns).map(([key, title]) => h("th", { scope: "col", class: key }, title))),
    ),
    body,
  );
  const pager = h("div", { class: "pager" }, previous, position, next);

  function draw(): void {
    const group = groups[shown];
    empty.hidden = group !== undefined;
    table.hidden = pager.hidden = problem.hidden = group === undefined;
    if (!group) return;
    position.textContent = t.prompt(shown + 1, groups.length);
    const { prompt, answer } = group[0]!;
    problem.replaceChildren(
      h("code", {}, plain(prompt)),
      h("span", { class: "faint" }, `${t.answer} `, h("b", {}, answer)),
    );
    const longest = Math.max(...group.map(({ length }) => length));
    const correct = group.filter((completion) => completion.correct);
    const mean = correct.reduce((sum, { length }) => sum + length, 0) / (correct.length || 1);
    const largest = Math.max(0.01, ...group.map(({ advantage }) => Math.abs(advantage)));
    body.replaceChildren(
      ...group.flatMap((completion, i) =>
        rowsOf(completion, i, { longest, largest, mean: correct.length > 0 ? mean : null }),
      ),
    );
  }

  return {
    element: h(
      "div",
      { class: "card" },
      h("div", { class: "row" }, h("h3", {}, t.title), pager),
      h("p", { class: "faint" }, t.lead),
      h("p", { class: "formula", role: "img", "aria-label": t.formulaLabel }, t.formula),
      problem,
      empty,
      table,
    ),
    update(completions) {
      groups = Array.from({ length: completions.length / NUM_GENERATIONS }, (_, g) =>
        completions.slice(g * NUM_GENERATIONS, (g + 1) * NUM_GENERATIONS),
      );
      // A group in which nothing differs shows nothing: begin with one that mixes right and wrong.
      const mixed = groups.findIndex(
        (group) => group.some(({ correct }) => correct) && group.some(({ correct }) => !correct),
      );
      shown = Math.max(0, mixed);
      draw();
    },
  };
}

/** The prompt without the marks of the chat template. */
const plain = (prompt: string): string => prompt.replaceAll(/<\|[^|]*\|>/g, "");

function rowsOf(
  { correct, length, reward, advantage, completion, finish_reason }: RolloutRow,
  i: number,
  { longest, largest, mean }: { longest: number; largest: number; mean: number | null },
): HTMLElement[] {
  const kind = correct ? "correct" : "wrong";
  const words = correct ? t.correct : finish_reason === "length" ? t.truncated : t.wrong;
  const bar = h("div", { class: `bar ${kind}` });
  bar.style.setProperty("--share", `${(100 * length) / longest}%`);
  const track = h("div", { class: "track", "aria-hidden": "true" }, bar);
  if (mean !== null) {
    const mark = h("div", { class: "mean", title: `${t.mean} ${format.tokens(mean)}` });
    mark.style.setProperty("--share", `${(100 * mean) / longest}%`);
    track.append(mark);
  }
  const swing = h("span", { class: `swing ${advantage < 0 ? "down" : "up"}`, "aria-hidden": "true" });
  swing.style.setProperty("--share", `${(50 * Math.abs(advantage)) / largest}%`);
  const response = h(
    "tr",
    { class: "response", id: `response-${i}`, hidden: true },
    h("td", { colspan: 5 }, h("pre", {}, completion)),
  );
  const read = h(
    "button",
    {
      type: "button",
      class: `verdict ${kind}`,
      "aria-expanded": "false",
      "aria-controls": `response-${i}`,
      "aria-label": `${words}. ${t.read(i + 1)}`,
      title: t.read(i + 1),
      onclick: () => {
        response.hidden = !response.hidden;
        read.setAttribute("aria-expanded", String(!response.hidden));
      },
    },
    h("span", { "aria-hidden": "true" }, correct ? "✓" : "✗"),
    h("span", { class: "words" }, words),
  );
  return [
    h(
      "tr",
      {},
      h("td", { class: "verdict" }, read),
      h("td", { class: "length" }, track),
      h("td", { class: "tokens" }, length),
      h("td", { class: "reward" }, reward.toFixed(2)),
      h("td", { class: "advantage" }, h("div", {}, swing, h("span", {}, format.signed(advantage)))),
    ),
    response,
  ];
}
