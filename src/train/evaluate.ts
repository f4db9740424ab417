import { scoreSamples, type Scores } from "../core/scores.ts";
import { compareAnswers } from "../grader/grade.ts";
import type { LLM } from "../engine/llm.ts";
import type { Tokenizer } from "../hf/tokenizer.ts";
import type { Problem, Task } from "../tasks/task.ts";
import { rolloutRow, sampleRollouts, type RolloutHost, type RolloutRow } from "./rollouts.ts";

export interface EvaluateOptions {
  /** k: responses to each problem. */
  numSamples: number;
  temperature: number;
  topK: number;
  topP: number;
  minP?: number;
  stop?: readonly string[];
  maxCompletionLength: number;
  seed: number;
}

export interface Evaluation extends Scores {
  /** Easiest first where difficulties are numbers. */
  by_difficulty: Record<string, Scores>;
  completions: RolloutRow[];
}

/** Scores k responses to each problem as the paper's tables do: accuracy and tokens, means over problems and samples. */
export async function evaluate(
  llm: Pick<LLM, "generate">,
  tokenizer: Tokenizer,
  task: Task,
  problems: readonly Problem[],
  { numSamples, maxCompletionLength, ...params }: EvaluateOptions,
  host: RolloutHost,
): Promise<Evaluation> {
  const sampling = { ...params, maxTokens: maxCompletionLength };
  const groups = await sampleRollouts(llm, tokenizer, task, problems, numSamples, sampling, host);
  return summarise(groups.map((group) => group.map(rolloutRow)));
}

/** Votes for one answer in several forms are votes for one answer. */
const sameAnswer = (a: string, b: string): boolean => compareAnswers(a, b).verdict;

/** The scores of judged responses, the same number to each problem. */
export function summarise(groups: readonly RolloutRow[][]): Evaluation {
  const byDifficulty = Map.groupBy(groups, ([first]) => first!.difficulty);
  const collator = new Intl.Collator("en", { numeric: true });
  const difficulties = [...byDifficulty.keys()].sort((a, b) => collator.compare(String(a), String(b)));
  return {
    ...scoreSamples(groups, sameAnswer),
    by_difficulty: Object.fromEntries(
      difficulties.map((difficulty) => [difficulty, scoreSamples(byDifficulty.get(difficulty)!, sameAnswer)]),
    ),
    completions: groups.flat(),
  };
}
