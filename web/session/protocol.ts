import type { RolloutRow } from "../../src/train/rollouts.ts";
import type { DrawnMetrics, Frame, Run, Scores } from "./records.ts";

/** What page and worker say to each other. Everything here survives structured cloning. */

/** As runs call the bundled model. */
export const REASONER_NAME = "bundled reasoner";

/** Responses to each prompt. */
export const NUM_GENERATIONS = 8;

/** What a person chooses of a run; several alphas are trained one after the other. */
export interface RunChoice {
  alphas: number[];
  maxIterations: number;
  numPrompts: number;
  /** The problem that is answered anew after every iteration. */
  pinned: string;
}

export type Phase = "idle" | "starting" | "running" | "pausing" | "paused" | "evaluating";

/** Where training stands. */
export interface TrainingState {
  phase: Phase;
  run: Run | null;
  /** Responses of the current step (sampling, or evaluation) that are finished, of all. */
  done: number;
  total: number;
  /** Alphas of a sweep that are still to come. */
  queue: number[];
}

/** A response that is being sampled. */
export interface Sampled {
  tokens: number;
  /** The end of what it says so far. */
  tail: string;
  finished: boolean;
}

/** All that the page draws of a run. */
export interface RunView {
  metrics: DrawnMetrics[];
  /** The last iteration's responses, group after group. */
  completions: RolloutRow[];
  /** The pinned problem's answers, by iteration; 0 is the untrained model. */
  frames: Frame[];
}

export interface Snapshot {
  training: TrainingState;
  runs: Run[];
  base: Scores | null;
  /** What problems come from, in the words of the page's task list. */
  task: TaskInfo;
  /** The model that the next run begins with. */
  model: ModelInfo;
}

export interface ModelInfo {
  name: string;
  /** Whether a visitor brought it. */
  own: boolean;
}

export interface TaskInfo {
  name: string;
  numTrain: number;
  numTest: number;
  /** Rows of a dropped file that were left out, by reason. */
  dropped: Readonly<Record<string, number>>;
  /** The tokens that the model reads of the first problem. */
  pieces: string[];
}

/** Something happened that a person should know; the page has the words. */
export type NoticeKind =
  | "no-webgpu"
  | "no-storage"
  | "other-tab"
  | "unreadable"
  | "device-lost"
  | "device-back"
  | "out-of-memory"
  | "not-saved"
  | "failed";

export type EngineEvent =
  | { type: "training"; training: TrainingState }
  | { type: "iteration"; metrics: DrawnMetrics; completions: RolloutRow[] }
  | { type: "frame"; frame: Frame }
  /** The responses to the first prompt of an iteration, as they are; none while none is sampled. */
  | { type: "sampled"; responses: Sampled[] }
  | { type: "runs"; runs: Run[]; base: Scores | null }
  | { type: "notice"; kind: NoticeKind; detail: string };

export type Emit = (event: EngineEvent) => void;

/** One finished answer. */
export interface Answer {
  text: string;
  tokens: number;
  /** What each token says. */
  pieces: string[];
  /** null where the problem has no answer that the page can work out. */
  correct: boolean | null;
  truncated: boolean;
  /** Seconds. */
  seconds: number;
}

export type Side = "base" | "trained";
export type OnPieces = (side: Side, pieces: string[]) => void;

/** The trained side of a comparison: the run under way, or the id of a kept one. */
export type TrainedChoice = "current" | (string & {});

export interface OwnModelInfo {
  name: string;
  modelType: string;
  parameters: number;
  /** On the device, weights as they will lie there. */
  bytes: number;
  context: number;
  training: TrainingPlan;
}

/** What training a model takes here, in bytes on the device; or why it does not train here. */
export type TrainingPlan = { rank: number; bytes: number } | { refusal: string };

export type { DrawnMetrics, Frame, RolloutRow, Run, Scores };
