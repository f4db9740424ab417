import { proxy } from "comlink";
import { h } from "../dom.ts";
import type { Client } from "../client.ts";
import { REASONER_NAME, type Answer, type Side } from "../session/protocol.ts";
import { format, text } from "../text.ts";
import { runName } from "../points.ts";
import { normalSum } from "../sums.ts";

const t = text.try;
const PICKS = 4;
/** What a full meter stands for, until an answer is longer. */
const METER_TOKENS = 120;

/** Base and trained model side by side on one problem. */
export function tryView(client: Client): HTMLElement {
  const { engine, state } = client;
  const problem = h("input", {
    id: "problem",
    type: "text",
    value: "37+8-5+4=?",
    autocomplete: "off",
    spellcheck: "false",
    maxlength: 200,
    "aria-describedby": "problem-hint",
  });
  const refusal = h("p", { class: "error", role: "status" });
  const trained = h("select", {
    id: "trained",
    onchange: () => {
      // The answer below was another model's.
      sides.trained.clear(t.waiting);
    },
  });
  const ask = h("button", { type: "submit", class: "primary" }, t.ask);
  const picks = h("div", { class: "picks" });
  const spoken = h("p", { class: "visually-hidden", role: "status" });
  const sides = { base: answerCard(t.base, "base"), trained: answerCard(t.trained, "trained") };

  const showOptions = () => {
    const { run, phase } = state.training;
    const current = run && (run.iteration > 0 || phase !== "idle") ? run : null;
    const chosen = trained.value;
    trained.replaceChildren(
      ...(current && current.iteration > 0 && !current.scores
        ? [h("option", { value: "current" }, t.current(current.iteration))]
        : []),
      ...state.runs
        .filter(({ scores }) => scores)
        .toReversed()
        .map((kept) => h("option", { value: kept.id }, runName(kept))),
    );
    if (trained.options.length === 0) trained.append(h("option", { value: "" }, t.noneOption));
    if ([...trained.options].some(({ value }) => value === chosen)) trained.value = chosen;
    else if (chosen !== "") sides.trained.clear(t.waiting);
    trained.disabled = trained.options.length < 2;
    sides.trained.setEmpty(trained.value === "" ? t.nothing : t.waiting);
    ask.disabled = !state.adapter;
  };

  async function answer(): Promise<void> {
    const choice = trained.value || null;
    const run = choice === "current" ? state.training.run : state.runs.find(({ id }) => id === choice);
    const isBundled = !run || run.model === REASONER_NAME;
    // Another model may know more than sums.
    const sum = normalSum(problem.value) ?? (isBundled ? null : problem.value.trim() || null);
    refusal.textContent = sum === null ? (isBundled ? t.notSum : text.own.noPrompt) : "";
    if (sum === null) return problem.focus();
    problem.value = sum;
    sides.base.begin();
    if (choice) sides.trained.begin();
    else sides.trained.setEmpty(t.nothing);
    ask.textContent = t.asking;
    const asked = Symbol();
    latest = asked;
    // Pieces come by a channel of their own: the last may come after the whole, or after the next question.
    let whole = false;
    const onPieces = (side: Side, pieces: string[]) => {
      if (!whole && latest === asked) sides[side].add(pieces);
    };
    try {
      const answers = await engine.answer(sum, choice, proxy(onPieces));
      whole = true;
      if (latest !== asked) return;
      sides.base.finish(answers.base, null);
      if (answers.trained) sides.trained.finish(answers.trained, 1 - answers.trained.tokens / answers.base.tokens);
      const say = (a: Answer) => `${verdictOf(a)?.words ?? ""} ${a.tokens} ${t.tokens}`;
      spoken.textContent = answers.trained ? t.finished(say(answers.base), say(answers.trained)) : say(answers.base);
    } catch (error) {
      if (latest === asked) client.notice("failed", (error as Error).message);
    } finally {
      if (latest === asked) ask.textContent = t.ask;
    }
  }
  let latest: symbol | null = null;

  const pick = async () => {
    const problems = await client.attempt(() => engine.pickProblems(PICKS));
    picks.replaceChildren(
      t.pick,
      ...(problems ?? []).map((prompt) =>
        h(
          "button",
          {
            type: "button",
            class: "chip",
            onclick: () => {
              problem.value = prompt;
              if (!ask.disabled) void answer();
            },
          },
          prompt,
        ),
      ),
      h("button", { type: "button", class: "quiet small", onclick: () => void pick() }, t.another),
    );
  };

  client.subscribe((change) => {
    if (change === "task") void pick();
    if (change !== "iteration") showOptions();
  });
  showOptions();

  return h(
    "div",
    { class: "stack" },
    h(
      "form",
      {
        class: "card stack",
        onsubmit: (event: SubmitEvent) => {
          event.preventDefault();
          void answer();
        },
      },
      h(
        "div",
        { class: "ask" },
        h("div", { class: "field" }, h("label", { for: "problem" }, t.problem), problem),
        h("div", { class: "field" }, h("label", { for: "trained" }, t.trained), trained),
        ask,
      ),
      h("p", { id: "problem-hint", class: "faint visually-hidden" }, t.hint),
      refusal,
      picks,
    ),
    h("div", { class: "answers" }, sides.base.element, sides.trained.element),
    spoken,
  );
}

const verdictOf = ({ correct, truncated }: Answer): { words: string; kind: string } | null => {
  if (truncated) return { words: t.truncated, kind: "wrong" };
  if (correct === null) return null;
  return correct ? { words: t.correct, kind: "correct" } : { words: t.wrong, kind: "wrong" };
};

function answerCard(title: string, side: Side) {
  const count = h("b", {}, "–");
  const meter = h("div");
  const output = h("pre", { role: "group", tabindex: 0, "aria-label": title }, t.waiting);
  const badges = h("div", { class: "row" });
  const setTokens = (n: number) => {
    count.textContent = format.count(n);
    meter.style.setProperty("--share", `${Math.min(100, (100 * n) / METER_TOKENS)}%`);
  };
  let tokens = 0;
  let empty = true;
  return {
    element: h(
      "article",
      { class: `card answer ${side}` },
      h(
        "div",
        { class: "row" },
        h("h3", {}, title),
        h("p", { class: "count" }, count, h("span", { class: "faint" }, t.tokens)),
      ),
      h("div", { class: "meter", "aria-hidden": "true" }, meter),
      output,
      badges,
    ),
    begin() {
      empty = false;
      output.textContent = "";
      output.classList.remove("faint");
      badges.replaceChildren();
      setTokens((tokens = 0));
    },
    /** Back to no answer. */
    clear(words: string) {
      empty = true;
      badges.replaceChildren();
      setTokens((tokens = 0));
      this.setEmpty(words);
    },
    /** Text for a card without an answer; one that has an answer keeps it. */
    setEmpty(words: string) {
      if (!empty) return;
      output.textContent = words;
      output.classList.add("faint");
    },
    add(pieces: string[]) {
      output.append(pieces.join(""));
      setTokens((tokens += pieces.length));
    },
    finish(answer: Answer, saved: number | null) {
      output.textContent = answer.text;
      setTokens(answer.tokens);
      const verdict = verdictOf(answer);
      badges.replaceChildren(
        verdict
          ? h("span", { class: `badge ${verdict.kind}` }, verdict.words)
          : h("span", { class: "faint badge" }, t.unknown),
      );
      if (saved !== null && Math.abs(saved) >= 0.005)
        badges.append(h("span", { class: "badge saved" }, t.saved(saved)));
    },
  };
}
