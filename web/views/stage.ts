import { difference } from "../../src/run/difference.ts";
import { ChartView } from "../charts.ts";
import type { Client } from "../client.ts";
import { h } from "../dom.ts";
import { runName, smallTradeoff } from "../points.ts";
import type { Recordings } from "../recordings.ts";
import type { Selection } from "../selection.ts";
import type { Run, RunView } from "../session/protocol.ts";
import {
  groupsAt,
  keptStory,
  liveStory,
  nearestRun,
  recordingStory,
  type CurvePoint,
  type ResponseGroup,
  type Story,
} from "../story.ts";
import { text } from "../text.ts";
import { answerCard } from "./answer.ts";
import { controls } from "./controls.ts";
import { moreCurves, stageCurves } from "./curves.ts";
import { rulePanel } from "./rule.ts";
import { measuredOf, pick } from "./tradeoff.ts";

const t = text.stage;

/** Earlier runs that are drawn behind the one that is shown. */
const GHOSTS = 3;

/** The knob, the pinned problem, the rule, tokens and accuracy: of a recording until a run trains here, or a kept one is opened. */
export function stageView(
  client: Client,
  selection: Selection,
  recordings: Recordings,
): { element: HTMLElement; open: (run: Run) => Promise<void> } {
  const { engine, state } = client;
  let opened: { run: Run; view: RunView } | null = null;
  /** What is being read while training goes on. */
  let held: readonly ResponseGroup[] | null = null;
  const ghosts = new Map<string, readonly CurvePoint[]>();

  const follow = h("input", { type: "checkbox", id: "follow", checked: true, onchange: () => show() });
  const followLabel = h("label", { for: "follow", class: "follow" }, follow, t.follow);
  const caption = h("p", { class: "caption" });
  const back = h(
    "button",
    {
      type: "button",
      class: "small",
      onclick: () => {
        opened = null;
        show();
      },
    },
    t.back,
  );
  const problems = recordings.problems.length;
  const answer = answerCard({
    onProblem: (by) => selection.set({ problem: (selection.choice.problem + by + problems) % problems }),
    onIteration: (iteration) => selection.set({ iteration }),
  });
  const rule = rulePanel(() => {
    if (story().kind === "live" && state.training.phase !== "idle") follow.checked = false;
  });
  const toIteration = (iteration: number) => selection.set({ iteration });
  const curves = stageCurves(toIteration);
  const more = moreCurves(toIteration);
  const chart = new ChartView(smallTradeoff(measuredOf(client, recordings), selection.choice.alpha), {
    height: () => 168,
    onPick: pick(client, recordings, selection, (run) => open(run)),
  });
  const knob = controls(client, selection, () => recordings.problems[selection.choice.problem]!.prompt);

  function story(): Story {
    const { run } = state.training;
    if (opened) return keptStory(opened.run, opened.view);
    if (run) return liveStory(run, state);
    return recordingStory(recordings, selection.choice.alpha, selection.choice.problem);
  }

  function show(): void {
    if (selection.choice.problem >= problems) return selection.set({ problem: 0 });
    const shown = story();
    const { alpha, iteration } = selection.choice;
    followLabel.hidden = shown.kind !== "live" || state.training.phase === "idle";
    if (follow.checked || !held || shown.kind !== "live") held = groupsAt(shown.groups, iteration ?? Infinity);
    answer.show(shown, iteration);
    rule.show(held, shown.kind === "kept" ? shown.alpha : alpha, longestOf(shown));
    const recorded = nearestRun(recordings, shown.alpha);
    const own = [...ghosts].filter(([id]) => id !== (opened?.run ?? state.training.run)?.id).map(([, curve]) => curve);
    const behind = shown.kind === "recording" || !shown.bundled ? own : [recorded.metrics, ...own];
    curves.show(shown, behind, iteration);
    more.show(shown, behind, iteration);
    chart.update(smallTradeoff(measuredOf(client, recordings), shown.alpha));
    caption.replaceChildren(...captionOf(shown));
    back.hidden = !opened;
  }

  /** What is shown, and what it comes to. */
  function captionOf(shown: Story): (Node | string)[] {
    const { model, training } = state;
    if (opened) return [t.kept(runName(opened.run))];
    if (shown.kind === "live") return [shown.bundled ? t.live : t.liveOwn(training.run?.model ?? "")];
    if (model.own) return [t.starts(model.name)];
    const { base, facts } = recordings;
    const { alpha, scores } = nearestRun(recordings, shown.alpha);
    return [t.recording.before(alpha), h("b", {}, difference(base, scores)), t.recording.after(facts.evaluated)];
  }

  /** The curves of earlier runs, which are drawn behind. */
  async function loadGhosts(): Promise<void> {
    const finished = state.runs.filter(({ scores }) => scores).slice(-GHOSTS);
    for (const id of ghosts.keys()) if (!finished.some((run) => run.id === id)) ghosts.delete(id);
    for (const { id } of finished) {
      if (ghosts.has(id)) continue;
      const view = await client.attempt(() => engine.viewRun(id));
      if (view) ghosts.set(id, view.metrics);
    }
    show();
  }

  async function open(kept: Run): Promise<void> {
    opened = { run: kept, view: await engine.viewRun(kept.id) };
    selection.set({ iteration: null });
    show();
    document.getElementById("stage")!.scrollIntoView();
  }

  let run: string | undefined;
  client.subscribe((change) => {
    const id = state.training.run?.id;
    if (id !== run) {
      run = id;
      held = null;
      follow.checked = true;
      if (id) opened = null;
      show();
    } else if (["iteration", "frame", "task"].includes(change)) show();
    if (change === "runs") void loadGhosts();
  });
  selection.subscribe(show);
  show();

  return {
    element: h(
      "section",
      { id: "stage", "aria-label": t.title },
      knob,
      h("div", { class: "row captions" }, caption, back, followLabel),
      h(
        "div",
        { class: "stage" },
        answer.element,
        h("div", { class: "card side" }, chart.element, ...curves.elements),
        rule.element,
      ),
      more.element,
    ),
    open,
  };
}

/** Tokens of the longest response of a run: what its bars are measured by. */
function longestOf({ groups, curve }: Story): number {
  const longest = curve.map((row) => row["completions/max_length"] ?? 0);
  return Math.max(1, ...longest, ...groups.flatMap(({ responses }) => responses.map(({ length }) => length)));
}
