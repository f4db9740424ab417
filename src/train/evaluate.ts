import { isCorrect } from "../core/group.ts";
import { scoreSamples, type Scores } from "../core/scores.ts";
import type { LLM, OnTokens } from "../engine/llm.ts";
import type { SamplingParams } from "../engine/sampling-params.ts";
import type { FinishReason } from "../engine/sequence.ts";
import type { Tokenizer } from "../hf/tokenizer.ts";
import type { Problem, Task } from "../tasks/task.ts";

/** A response and the verdict on it: a line of completions.jsonl. */
export interface JudgedCompletion {
  problem_id: string;
  difficulty: string | number;
  prompt: string;
  completion: string;
  answer: string;
  extracted: string;
  /** A response that was cut off is incorrect, whatever it says. */
  correct: boolean;
  /** Why the task judged as it did, or that the response was cut off. */
  reason: string;
  /** Tokens, the stop token counted. */
  length: number;
  finish_reason: FinishReason;
}

/** The responses to one problem. */
export interface Judged {
  promptTokenIds: readonly number[];
  outputs: { tokenIds: number[]; logprobs: number[]; finishReason: FinishReason; judged: JudgedCompletion }[];
}

export interface SampleHost {
  stopTokenIds: readonly number[];
  /** Problem i draws under the key `firstPromptId` (default 0) + i, so what it draws depends on nothing else in the batch. */
  firstPromptId?: number;
  signal?: AbortSignal | undefined;
  /** Responses finished, of all. */
  onProgress?: ((done: number, total: number) => void) | undefined;
}

/** Draws n responses to each problem and has the task judge them. */
export async function sampleAndJudge(
  llm: Pick<LLM, "generate">,
  tokenizer: Tokenizer,
  task: Task,
  problems: readonly Problem[],
  n: number,
  { temperature, topK, topP, maxTokens, seed }: Omit<SamplingParams, "n" | "stopTokenIds">,
  { stopTokenIds, firstPromptId = 0, signal, onProgress }: SampleHost,
): Promise<Judged[]> {
  const prompts = problems.map((problem) => task.render(problem, tokenizer));
  const requests = prompts.map((prompt, i) => ({
    promptId: firstPromptId + i,
    promptTokenIds: tokenizer.encode(prompt, { addSpecialTokens: false }),
  }));
  const done = new Set<number>(); // a response that is sampled anew counts once
  const onTokens: OnTokens = ({ request, index, finished }) => {
    const { size } = done;
    if (finished && done.add(request * n + index).size > size) onProgress?.(size + 1, requests.length * n);
  };
  const results = await llm.generate(
    requests,
    { n, temperature, topK, topP, maxTokens, seed, stopTokenIds },
    { onTokens, signal },
  );
  return results.map(({ promptTokenIds, outputs }, i) => ({
    promptTokenIds,
    outputs: outputs.map(({ tokenIds, logprobs, finishReason }) => ({
      tokenIds,
      logprobs,
      finishReason,
      judged: judge(tokenizer, task, problems[i]!, prompts[i]!, tokenIds, finishReason),
    })),
  }));
}

function judge(
  tokenizer: Tokenizer,
  task: Task,
  problem: Problem,
  prompt: string,
  tokenIds: readonly number[],
  finishReason: FinishReason,
): JudgedCompletion {
  const spoken = finishReason === "stop" ? tokenIds.slice(0, -1) : tokenIds;
  const completion = tokenizer.decode(spoken, { skipSpecialTokens: true });
  const { correct, extracted, reason } = task.judge(problem, completion);
  const { length } = tokenIds;
  return {
    problem_id: problem.id,
    difficulty: problem.difficulty,
    prompt,
    completion,
    answer: problem.answer,
    extracted,
    correct: isCorrect({ length, finishReason, correct }),
    reason: finishReason === "length" ? "cut off" : reason,
    length,
    finish_reason: finishReason,
  };
}

export interface EvaluateOptions {
  /** k: responses to each problem. */
  numSamples: number;
  temperature: number;
  topK: number;
  topP: number;
  maxCompletionLength: number;
  seed: number;
}

export interface Evaluation extends Scores {
  /** Easiest first where difficulties are numbers. */
  by_difficulty: Record<string, Scores>;
  completions: JudgedCompletion[];
}

/** Scores k responses to each problem as the paper's tables do: accuracy and tokens, means over problems and samples. */
export async function evaluate(
  llm: Pick<LLM, "generate">,
  tokenizer: Tokenizer,
  task: Task,
  problems: readonly Problem[],
  { numSamples, maxCompletionLength, ...params }: EvaluateOptions,
  host: SampleHost,
): Promise<Evaluation> {
  const sampling = { ...params, maxTokens: maxCompletionLength };
  const judged = await sampleAndJudge(llm, tokenizer, task, problems, numSamples, sampling, host);
  return summarise(judged.map(({ outputs }) => outputs.map((output) => output.judged)));
}

/** The scores of judged responses, the same number to each problem. */
export function summarise(groups: readonly JudgedCompletion[][]): Evaluation {
  const byDifficulty = Map.groupBy(groups, ([first]) => first!.difficulty);
  const collator = new Intl.Collator("en", { numeric: true });
  const difficulties = [...byDifficulty.keys()].sort((a, b) => collator.compare(String(a), String(b)));
  return {
    ...scoreSamples(groups),
    by_difficulty: Object.fromEntries(
      difficulties.map((difficulty) => [difficulty, scoreSamples(byDifficulty.get(difficulty)!)]),
    ),
    completions: groups.flat(),
  };
}
