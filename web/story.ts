import type { PageState } from "./client.ts";
import { tokensOf, type RecordedResponse, type Recordings } from "./recordings.ts";
import {
  NUM_GENERATIONS,
  REASONER_NAME,
  type DrawnMetrics,
  type Frame,
  type RolloutRow,
  type Run,
  type RunView,
} from "./session/protocol.ts";

/** A run as the stage shows it: a recording, the one that trains here, or one that was kept. */
export interface Story {
  kind: "recording" | "live" | "kept";
  /** Whether it is of the model that the recordings are of. */
  bundled: boolean;
  /** What was or is trained with; of a recording the one nearest to what was asked for. */
  alpha: number;
  problem: string;
  /** In all. */
  iterations: number;
  curve: CurvePoint[];
  /** The pinned problem's answers, oldest first; the first is the untrained model's. */
  frames: Frame[];
  groups: ResponseGroup[];
}

export type CurvePoint = Pick<
  DrawnMetrics,
  "iteration" | "accuracy" | "reward" | "completions/mean_length" | "completions/clipped_ratio"
> &
  Partial<Pick<DrawnMetrics, "completions/max_length">>;

/** The responses to one prompt. */
export interface ResponseGroup {
  iteration: number;
  prompt: string;
  responses: RecordedResponse[];
}

/** The recording whose alpha is nearest. */
export function nearestRun({ runs }: Recordings, alpha: number): Recordings["runs"][number] {
  const distance = (run: { alpha: number }) => Math.abs(run.alpha - alpha);
  return runs.reduce((best, run) => (distance(run) < distance(best) ? run : best));
}

export function recordingStory(recordings: Recordings, alpha: number, problem: number): Story {
  const run = nearestRun(recordings, alpha);
  return {
    kind: "recording",
    bundled: true,
    alpha: run.alpha,
    problem: recordings.problems[problem]!.prompt,
    iterations: recordings.facts.iterations,
    curve: run.metrics,
    frames: run.steps.map((step, i) => {
      const [tokens, correct] = run.answers[i]![problem]!;
      return { step, pieces: tokensOf(tokens, recordings.vocabulary), correct: correct === 1 };
    }),
    groups: run.groups,
  };
}

export const liveStory = (run: Run, { metrics, completions, frames }: PageState): Story =>
  runStory("live", run, { metrics, completions, frames });

export const keptStory = (run: Run, view: RunView): Story => runStory("kept", run, view);

function runStory(kind: "live" | "kept", run: Run, { metrics, completions, frames }: RunView): Story {
  return {
    kind,
    bundled: run.model === REASONER_NAME,
    alpha: run.alpha,
    problem: run.pinned,
    iterations: run.maxIterations,
    curve: metrics,
    frames,
    groups: groupsOf(completions, run.iteration),
  };
}

function groupsOf(completions: readonly RolloutRow[], iteration: number): ResponseGroup[] {
  return Array.from({ length: completions.length / NUM_GENERATIONS }, (_, g) => {
    const responses = completions.slice(g * NUM_GENERATIONS, (g + 1) * NUM_GENERATIONS);
    return { iteration, prompt: responses[0]!.problem_id, responses };
  });
}

/** The last of what was there at an iteration, or before. */
export const frameAt = (frames: readonly Frame[], iteration: number): Frame | undefined =>
  frames.findLast(({ step }) => step <= iteration) ?? frames[0];

/** The groups of the iteration nearest before; of the first one, where there is none before. */
export function groupsAt(groups: readonly ResponseGroup[], iteration: number): ResponseGroup[] {
  const last = groups.findLast((group) => group.iteration <= iteration) ?? groups[0];
  return groups.filter((group) => group.iteration === last?.iteration);
}
