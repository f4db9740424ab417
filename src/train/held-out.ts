import { bestOf, parseBestRule, type BestRule, type Scored } from "../core/best.ts";
import { ConfigError } from "../errors.ts";
import type { LLM } from "../engine/llm.ts";
import type { Config } from "../run/config.ts";
import { evaluate } from "./evaluate.ts";
import { evaluateOptions } from "./options.ts";
import type { Sources } from "./sources.ts";

/** An evaluation in a run, after `step`. */
export interface HeldOutScores extends Scored {
  step: number;
}

/** What a step's evaluation says: to the log, to the checkpoints, and to the run. */
export interface StepEvaluation {
  metrics: { "eval/accuracy": number; "eval/mean_length": number };
  isBest: boolean;
  /** Whether the run has waited for a better one long enough. */
  ends: boolean;
}

/**
 * Scores a model on held-out problems while it trains, and knows which step did best. Which step that is follows from the run's logged
 * metrics and `base`, so that a resumed run decides as an uninterrupted one.
 */
export class HeldOut {
  readonly base: Scored;
  readonly #score: () => Promise<Scored>;
  readonly #every: number;
  readonly #rule: BestRule;
  readonly #patience: number;
  readonly #scores: HeldOutScores[];

  /** `rows`: the run's metrics so far. */
  constructor(
    { eval_every: every, best, early_stopping_patience: patience }: Config["train"],
    { base, score, rows }: { base: Scored; score: () => Promise<Scored>; rows: readonly Record<string, unknown>[] },
  ) {
    this.base = base;
    this.#score = score;
    this.#every = every ?? Infinity;
    this.#rule = parseBestRule(best);
    this.#patience = patience ?? Infinity;
    this.#scores = rows
      .filter((row) => "eval/accuracy" in row)
      .map((row) => ({
        step: Number(row["step"]),
        accuracy: Number(row["eval/accuracy"]),
        mean_length: Number(row["eval/mean_length"]),
      }));
  }

  /** The best evaluation so far; null where none fulfils the rule. */
  get best(): HeldOutScores | null {
    return this.#scores[bestOf(this.#rule, this.base, this.#scores)] ?? null;
  }

  /** Whether the last `early_stopping_patience` evaluations brought nothing better. */
  get ends(): boolean {
    const since = this.#scores.length - 1 - bestOf(this.#rule, this.base, this.#scores);
    return this.#scores.length > 0 && since >= this.#patience;
  }

  /** Evaluates after a step where it is time to. */
  async after(step: number): Promise<StepEvaluation | null> {
    if (step % this.#every !== 0) return null;
    const score = await this.#score();
    this.#scores.push({ step, ...score });
    const metrics = { "eval/accuracy": score.accuracy, "eval/mean_length": score.mean_length };
    return { metrics, isBest: this.best?.step === step, ends: this.ends };
  }
}

/** Scores what `llm` draws for the last `train.eval_problems` held-out problems, with the eval section's sampling. */
export async function scoreHeldOut(
  llm: Pick<LLM, "generate">,
  { task, tokenizer, stopTokenIds }: Sources,
  config: Config,
  signal: AbortSignal,
): Promise<Scored> {
  if (task.test.length === 0)
    throw new ConfigError(`train.eval_every: expected held-out problems, but the task ${task.name} has none`);
  const first = Math.max(0, task.test.length - config.train.eval_problems);
  const host = { stopTokenIds, firstPromptId: first, signal };
  const options = evaluateOptions(config);
  const scores = await evaluate(llm, tokenizer, task, task.test.slice(first), options, host);
  return { accuracy: scores.accuracy, mean_length: scores.mean_length };
}
