import type { Evaluation } from "../../src/train/evaluate.ts";
import type { RlMetrics } from "../../src/train/rl.ts";
import type { RolloutRow } from "../../src/train/rollouts.ts";

/** What page and worker say to each other. Everything here survives structured cloning. */

/** What an evaluation comes to. */
export type Scores = Omit<Evaluation, "by_difficulty" | "completions">;

/** A run as it is kept: run.json of its folder. */
export interface Run {
  id: string;
  name: string;
  /** Milliseconds since 1970. */
  created: number;
  /** The alpha of its last iteration, and whether it was another one before. */
  alpha: number;
  alphaChanged: boolean;
  task: string;
  /** Iterations done, and in all. */
  iteration: number;
  maxIterations: number;
  /** Prompts an iteration; each gets eight responses. */
  numPrompts: number;
  seed: number;
  /** On held-out problems after the last iteration; null while the run is not finished. */
  scores: Scores | null;
}

export type Phase = "idle" | "starting" | "running" | "pausing" | "paused" | "evaluating";

/** Where training stands. */
export interface TrainingState {
  phase: Phase;
  run: Run | null;
  /** Responses of the current step (sampling, or evaluation) that are finished, of all. */
  done: number;
  total: number;
}

export interface Snapshot {
  training: TrainingState;
  metrics: RlMetrics[];
  /** The last iteration's responses, group after group. */
  completions: RolloutRow[];
  runs: Run[];
  base: Scores | null;
  /** What problems come from, in the words of the page's task list. */
  task: TaskInfo;
}

export interface TaskInfo {
  name: string;
  numTrain: number;
  numTest: number;
  /** Rows of a dropped file that were left out, by reason. */
  dropped: Readonly<Record<string, number>>;
}

/** Something happened that a person should know; the page has the words. */
export type NoticeKind =
  "no-webgpu" | "no-storage" | "other-tab" | "device-lost" | "device-back" | "out-of-memory" | "not-saved" | "failed";

export type EngineEvent =
  | { type: "training"; training: TrainingState }
  | { type: "iteration"; metrics: RlMetrics; completions: RolloutRow[] }
  | { type: "runs"; runs: Run[]; base: Scores | null }
  | { type: "notice"; kind: NoticeKind; detail: string };

export type Emit = (event: EngineEvent) => void;

/** One finished answer. */
export interface Answer {
  text: string;
  tokens: number;
  /** null where the problem has no answer that the page can work out. */
  correct: boolean | null;
  truncated: boolean;
  /** Seconds. */
  seconds: number;
}

export type Side = "base" | "trained";
export type OnPiece = (side: Side, piece: string, tokens: number) => void;

/** The trained side of a comparison: the run under way, or the id of a kept one. */
export type TrainedChoice = "current" | (string & {});

export interface OwnModelInfo {
  name: string;
  modelType: string;
  parameters: number;
  /** On the device, weights as they will lie there. */
  bytes: number;
  context: number;
  hasTemplate: boolean;
}

export interface ExportedMetrics {
  run: Run;
  base: Scores | null;
  metrics: RlMetrics[];
}

export type { RlMetrics, RolloutRow };
