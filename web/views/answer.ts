import { h } from "../dom.ts";
import type { Frame } from "../session/protocol.ts";
import { frameAt, type Story } from "../story.ts";
import { text } from "../text.ts";
import { tokenChips } from "./chips.ts";

const t = text.answer;

export interface AnswerHost {
  /** Another of the recorded problems, by so many. */
  onProblem: (by: number) => void;
  /** null for the last. */
  onIteration: (iteration: number | null) => void;
}

/** The pinned problem: what the untrained model says, what the trained one says, and a filmstrip of the way between. */
export function answerCard({ onProblem, onIteration }: AnswerHost): {
  element: HTMLElement;
  show: (story: Story, iteration: number | null) => void;
} {
  const problem = h("code", { class: "problem" });
  const step = (by: number, label: string, sign: string) =>
    h("button", { type: "button", class: "round", "aria-label": label, onclick: () => onProblem(by) }, sign);
  const [previous, next] = [step(-1, t.previous, "‹"), step(1, t.next, "›")];
  const before = answerRow("before", t.before);
  const after = answerRow("after", t.after);
  const saved = h("p", { class: "saved", role: "status" });
  const film = filmstrip(onIteration);
  const legend = h(
    "p",
    { class: "legend" },
    ...Object.entries(t.legend).map(([kind, words]) =>
      h("span", {}, h("i", { class: `chip ${kind}`, "aria-hidden": "true" }), words),
    ),
  );
  return {
    element: h(
      "article",
      { class: "card answer-card" },
      h("div", { class: "row" }, h("h2", {}, t.title), h("div", { class: "pager" }, problem, previous, next)),
      after.element,
      saved,
      before.element,
      legend,
      film.element,
    ),
    show(story, iteration) {
      problem.textContent = story.problem;
      previous.hidden = next.hidden = story.kind !== "recording";
      const first = story.frames.find(({ step: at }) => at === 0);
      const frame = frameAt(story.frames, iteration ?? Infinity);
      before.show(first, t.beforeNote);
      after.show(frame === first ? undefined : frame, frame ? t.afterNote(story.alpha) : t.waiting);
      const share = first && frame && frame !== first ? 1 - frame.pieces.length / first.pieces.length : null;
      saved.textContent = share === null ? "" : t.saved(share, first!.correct, frame!.correct);
      film.show(story, frame);
    },
  };
}

function answerRow(kind: "before" | "after", title: string) {
  const count = h("b", { class: "figure" });
  const note = h("span", { class: "faint" });
  const verdict = h("span", { class: "badge" });
  const chips = tokenChips(title);
  return {
    element: h(
      "div",
      { class: `reply ${kind}` },
      h("p", { class: "count" }, count, h("span", {}, ` ${t.tokens} `), note, verdict),
      chips.element,
    ),
    show(frame: Frame | undefined, words: string) {
      count.textContent = frame ? String(frame.pieces.length) : "–";
      note.textContent = words;
      const correct = frame?.correct ?? null;
      verdict.hidden = correct === null;
      verdict.className = `badge ${correct ? "correct" : "wrong"}`;
      verdict.textContent = correct ? t.right : t.wrong;
      chips.show(frame?.pieces ?? []);
    },
  };
}

/** Milliseconds of a frame. */
const FRAME_MS = 450;
/** More would not be told apart; of a longer run every so many answers have one. */
const MOST_BARS = 60;
/** Of a bar's place, the rest of which is a gap. */
const BAR_WIDTH = 0.75;

/** A bar as a part of a polygon, in shares of what it is cut out of. */
function outline(left: number, right: number, height: number): string {
  const [from, to, top] = [left, right, 1 - height].map((share) => `${(100 * share).toFixed(2)}%`);
  return `${from} 100%, ${from} ${top}, ${to} ${top}, ${to} 100%`;
}

const polygon = (outlines: readonly string[]): string => `polygon(${outlines.join() || "0 0"})`;

/** The answers' lengths as bars on one scale, with a slider over them. */
function filmstrip(onIteration: AnswerHost["onIteration"]) {
  // All bars of a kind are cut out of one element: a longer run has no more elements, and none that moves.
  const layers = {
    right: h("i", { class: "right" }),
    wrong: h("i", { class: "wrong" }),
    here: h("i", { class: "here" }),
  };
  const bars = h("div", { class: "bars", "aria-hidden": "true" }, ...Object.values(layers));
  const words = h("output", { for: "iteration" });
  let frames: readonly Frame[] = [];
  let at = 0;
  let timer: ReturnType<typeof setInterval> | undefined;
  const go = (index: number) => onIteration(index >= frames.length - 1 ? null : frames[index]!.step);
  const slider = h("input", {
    id: "iteration",
    type: "range",
    min: 0,
    step: 1,
    "aria-label": t.film,
    oninput: () => {
      stop();
      go(Number(slider.value));
    },
  });
  const stop = () => {
    clearInterval(timer);
    timer = undefined;
    play.textContent = t.play;
  };
  const play = h(
    "button",
    {
      type: "button",
      class: "small",
      onclick: () => {
        if (timer !== undefined) return stop();
        let index = at >= frames.length - 1 ? -1 : at;
        play.textContent = t.stop;
        timer = setInterval(() => {
          go(++index);
          if (index >= frames.length - 1) stop();
        }, FRAME_MS);
      },
    },
    t.play,
  );
  return {
    element: h(
      "div",
      { class: "film" },
      h("div", { class: "row" }, h("label", { for: "iteration" }, t.film), words, play),
      h("div", { class: "strip" }, bars, slider),
    ),
    show({ frames: all, iterations }: Story, shown: Frame | undefined) {
      frames = all;
      at = shown ? frames.indexOf(shown) : 0;
      const longest = Math.max(1, ...frames.map(({ pieces }) => pieces.length));
      slider.max = String(Math.max(0, frames.length - 1));
      slider.value = String(at);
      slider.disabled = play.disabled = frames.length < 2;
      words.textContent = shown ? t.frame(shown.step, iterations) : "";
      slider.setAttribute("aria-valuetext", shown ? t.spoken(shown.step, shown.pieces.length, shown.correct) : "");
      const count = Math.min(frames.length, MOST_BARS);
      const here = Math.round((at * (count - 1)) / (frames.length - 1 || 1));
      const outlines = { right: [] as string[], wrong: [] as string[], here: [] as string[] };
      for (let i = 0; i < count; i++) {
        const { pieces, correct } = frames[i === here ? at : Math.round((i * (frames.length - 1)) / (count - 1 || 1))]!;
        const kind = i === here ? "here" : correct === false ? "wrong" : "right";
        outlines[kind].push(outline(i / count, (i + BAR_WIDTH) / count, pieces.length / longest));
      }
      layers.right.style.clipPath = polygon(outlines.right);
      layers.wrong.style.clipPath = polygon(outlines.wrong);
      layers.here.style.clipPath = polygon(outlines.here);
    },
  };
}
