import { h } from "../dom.ts";
import { FELT, judge, type JudgedResponse } from "../judge.ts";
import { NUM_GENERATIONS } from "../session/protocol.ts";
import type { ResponseGroup } from "../story.ts";
import { format, text } from "../text.ts";
import { drawRule } from "./sigmoid.ts";

const t = text.rule;

/** The rule as an instrument: the formula, a group's responses on its curve, and what each earns. Nodes stay, only what they say changes. */
export function rulePanel(onRead: () => void): {
  element: HTMLElement;
  /** `longest`: tokens of the longest response of the run, which all bars are measured by. */
  show: (groups: readonly ResponseGroup[], alpha: number, longest: number) => void;
} {
  let groups: readonly ResponseGroup[] = [];
  let alpha = 0;
  let longest = 1;
  let shown = 0;
  let open: number | null = null;
  const alphaTerm = h("b", { class: "term alpha" });
  const formula = h(
    "p",
    { class: "formula", role: "img", "aria-label": t.formulaLabel },
    term("reward", "R"),
    " = ",
    term("correct", "c"),
    " · (1 − ",
    alphaTerm,
    " · ",
    term("sigma", "σ"),
    "( (",
    term("length", "L"),
    " − ",
    term("stat", "mean"),
    ") / ",
    term("stat", "std"),
    " ))",
  );
  const plot = h("div", { class: "sigmoid" });
  const asked = h("span", { class: "faint" });
  const problem = h("code");
  const position = h("span", { class: "faint" });
  const turn = (by: number) => {
    onRead();
    shown = (shown + by + groups.length) % groups.length;
    open = null;
    draw();
  };
  const button = (by: number, label: string, sign: string) =>
    h("button", { type: "button", class: "round", "aria-label": label, onclick: () => turn(by) }, sign);
  const [previous, next] = [button(-1, t.previous, "‹"), button(1, t.next, "›")];
  const words = h("p", { class: "update" });
  const response = h("pre", { class: "response", id: "response", role: "group", hidden: true, tabindex: 0 });
  const rows = Array.from({ length: NUM_GENERATIONS }, (_, i) =>
    responseRow(i, () => {
      onRead();
      open = open === i ? null : i;
      draw();
    }),
  );
  const list = h(
    "div",
    { class: "responses", role: "group", "aria-label": t.responses },
    ...rows.map(({ element }) => element),
  );
  const heads = h(
    "div",
    { class: "columns heads", "aria-hidden": "true" },
    h("span", { class: "term length" }, t.columns.length),
    h("span", { class: "term reward" }, t.columns.reward),
    h("span", {}, t.columns.advantage),
  );
  new ResizeObserver(() => draw()).observe(plot);

  function draw(): void {
    shown = Math.min(shown, Math.max(0, groups.length - 1));
    const group = groups[shown];
    previous.hidden = next.hidden = groups.length < 2;
    position.textContent = groups.length > 1 ? t.prompt(shown + 1, groups.length) : "";
    alphaTerm.textContent = alpha.toFixed(2);
    problem.textContent = group?.prompt ?? "";
    asked.textContent = group ? t.answersTo(group.responses.length) : "";
    const { judged, statistics } = judge(group?.responses ?? [], alpha);
    words.textContent = group ? updateWords(judged) : t.empty;
    heads.hidden = judged.length === 0;
    rows.forEach((row, i) => row.show(judged[i], { longest, open: open === i }));
    response.hidden = open === null || !judged[open];
    if (open !== null && judged[open]) {
      response.textContent = judged[open]!.completion;
      response.setAttribute("aria-label", t.read(open + 1));
    }
    const width = Math.floor(plot.clientWidth);
    if (width > 0) plot.replaceChildren(drawRule(judged, statistics, { alpha, width, open }));
  }

  return {
    element: h(
      "article",
      { class: "card rule-card" },
      h(
        "div",
        { class: "row" },
        h("h2", {}, t.title),
        h("div", { class: "pager" }, asked, problem, position, previous, next),
      ),
      formula,
      plot,
      heads,
      list,
      words,
      response,
    ),
    show(all, withAlpha, ofRun) {
      groups = all;
      alpha = withAlpha;
      longest = ofRun;
      draw();
    },
  };
}

function term(kind: string, sign: string): HTMLElement {
  return h("b", { class: `term ${kind}` }, sign);
}

/** What the update will do, in words. */
function updateWords(judged: readonly JudgedResponse[]): string {
  const count = (holds: (one: JudgedResponse) => boolean) => judged.filter(holds).length;
  const [up, long, wrong] = [
    count(({ advantage }) => advantage > FELT),
    count(({ advantage, correct }) => advantage < -FELT && correct),
    count(({ advantage, correct }) => advantage < -FELT && !correct),
  ];
  return up + long + wrong === 0 ? t.nothing : t.update(up, long, wrong);
}

function responseRow(i: number, onOpen: () => void) {
  const spoken = h("span", { class: "visually-hidden" });
  const sign = h("span", { class: "sign" });
  const bar = h("span", { class: "bar" });
  const tokens = h("span", { class: "term length" });
  const reward = h("span", { class: "term reward" });
  const advantage = h("span", { class: "advantage" });
  const element = h(
    "button",
    { type: "button", class: "response-row", "aria-expanded": "false", "aria-controls": "response", onclick: onOpen },
    spoken,
    h(
      "span",
      { class: "columns", "aria-hidden": "true" },
      sign,
      h("span", { class: "track" }, bar),
      tokens,
      reward,
      advantage,
    ),
  );
  return {
    element,
    show(one: JudgedResponse | undefined, { longest, open }: { longest: number; open: boolean }) {
      element.hidden = !one;
      if (!one) return;
      const kind = one.correct ? "correct" : "wrong";
      sign.textContent = one.correct ? "✓" : "✗";
      element.className = `response-row ${kind}`;
      element.setAttribute("aria-expanded", String(open));
      Object.assign(element.dataset, {
        length: String(one.length),
        reward: String(one.reward),
        advantage: String(one.advantage),
      });
      bar.className = `bar ${kind}`;
      bar.style.setProperty("--share", `${Math.min(100, (100 * one.length) / longest)}%`);
      tokens.textContent = String(one.length);
      reward.textContent = one.reward.toFixed(2);
      advantage.textContent = format.signed(one.advantage);
      advantage.className = `advantage ${one.advantage > FELT ? "up" : one.advantage < -FELT ? "down" : "level"}`;
      const verdict = one.correct ? t.right : one.finish_reason === "length" ? t.truncated : t.wrong;
      spoken.textContent = t.row(i + 1, verdict, one.length, one.reward, one.advantage);
    },
  };
}
