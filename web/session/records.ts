import { z } from "zod";
import type { RlMetrics } from "../../src/train/rl.ts";

/** What a run's folder holds besides what every run of Pith does. It may come from anyone's file, so it is checked on reading. */

const interval = z.tuple([z.number(), z.number()]);

/** What an evaluation comes to. */
export const scoresSchema = z.object({
  accuracy: z.number(),
  accuracy_interval: interval,
  mean_length: z.number(),
  mean_length_interval: interval,
  by_difficulty: z.record(z.string(), z.object({ accuracy: z.number(), mean_length: z.number() })),
});
export type Scores = z.infer<typeof scoresSchema>;

/** run.json. */
export const runSchema = z.object({
  id: z.string().regex(/^[0-9a-z]{1,20}$/),
  name: z.string().max(60),
  /** Milliseconds since 1970. */
  created: z.number(),
  /** The alpha of its last iteration, and whether it was another one before. */
  alpha: z.number(),
  alphaChanged: z.boolean(),
  /** What was trained, on what. */
  model: z.string().max(200),
  task: z.string().max(200),
  /** The problem that is answered anew after every iteration. */
  pinned: z.string().max(2000),
  /** Iterations done, and in all. */
  iteration: z.int().nonnegative(),
  maxIterations: z.int().positive(),
  /** Prompts an iteration; each gets eight responses. */
  numPrompts: z.int().positive(),
  /** On held-out problems after the last iteration; null while the run is not finished. */
  scores: scoresSchema.nullable(),
});
export type Run = z.infer<typeof runSchema>;

const drawnSchema = z.object({
  accuracy: z.number(),
  reward: z.number(),
  "completions/mean_length": z.number(),
  "completions/max_length": z.number(),
  "completions/clipped_ratio": z.number(),
  /** Seconds. */
  step_time: z.number(),
});

/** Of a line of metrics.jsonl, what is drawn. */
export const metricsSchema = drawnSchema
  .extend({ step: z.int().positive() })
  .transform(({ step, ...row }): DrawnMetrics => ({ iteration: step, ...row }));

/** Of an iteration, what is drawn: all that is kept of each, for as long as the page is open. */
export interface DrawnMetrics extends z.infer<typeof drawnSchema> {
  iteration: number;
}

export const drawnOf = (metrics: RlMetrics): DrawnMetrics => ({
  iteration: metrics.iteration,
  accuracy: metrics.accuracy,
  reward: metrics.reward,
  "completions/mean_length": metrics["completions/mean_length"],
  "completions/max_length": metrics["completions/max_length"],
  "completions/clipped_ratio": metrics["completions/clipped_ratio"],
  step_time: metrics.step_time,
});

/** Of a line of completions.jsonl, what is shown. */
export const completionSchema = z.looseObject({
  step: z.int().positive(),
  problem_id: z.string(),
  completion: z.string(),
  length: z.number(),
  correct: z.boolean(),
  finish_reason: z.enum(["stop", "length"]),
});

/** A line of frames.jsonl: the pinned problem's answer after an iteration; 0 is the untrained model. */
export const frameSchema = z.object({
  step: z.int().nonnegative(),
  /** What each token says. */
  pieces: z.array(z.string()),
  correct: z.boolean().nullable(),
});
export type Frame = z.infer<typeof frameSchema>;
