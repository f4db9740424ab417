import { isCorrect, scoreOf } from "../core/group.ts";
import { countSamples, type Completion, type GenerateRequest, type LLM, type OnTokens } from "../engine/llm.ts";
import type { SamplingParams } from "../engine/sampling-params.ts";
import { beforeStop, type Decode } from "../engine/stop-strings.ts";
import { ConfigError } from "../errors.ts";
import type { FinishReason } from "../engine/sequence.ts";
import type { Tokenizer } from "../hf/tokenizer.ts";
import { renderPrompt } from "../tasks/prompt.ts";
import type { Problem, Task } from "../tasks/task.ts";
import type { DrawnCompletion, DrawnOutput } from "./drawn.ts";

/** A completion with the verdict on it and its part in an update. */
export interface Rollout extends DrawnCompletion {
  /** Key of the random numbers that drew it, with `index` and the seed. */
  promptId: number;
  problem: Problem;
  /** As rendered. */
  prompt: string;
  promptTokenIds: readonly number[];
  /** What the tokens say, special ones and the stop string left out. */
  text: string;
  /** Tokens, the stop token counted. */
  length: number;
  /** The answer that was found, "" if there is none. */
  extracted: string;
  /** A response that was cut off is incorrect, whatever it says. */
  correct: boolean;
  /** Why the task judged as it did, or that the response was cut off. */
  reason: string;
  /** What the task gives the answer, 0 to 1; 1 or 0 where it does not grade. */
  score: number;
  /** The score, until lengths are rewarded. */
  reward: number;
  /** 0 until the group is compared. */
  advantage: number;
}

/** A rollout as completions.jsonl and the page keep it. */
export interface RolloutRow {
  problem_id: string;
  difficulty: string | number;
  prompt: string;
  completion: string;
  answer: string;
  extracted: string;
  correct: boolean;
  reason: string;
  length: number;
  finish_reason: FinishReason;
  reward: number;
  advantage: number;
}

export const rolloutRow = (rollout: Rollout): RolloutRow => ({
  problem_id: rollout.problem.id,
  difficulty: rollout.problem.difficulty,
  prompt: rollout.prompt,
  completion: rollout.text,
  answer: rollout.problem.answer,
  extracted: rollout.extracted,
  correct: rollout.correct,
  reason: rollout.reason,
  length: rollout.length,
  finish_reason: rollout.finishReason,
  reward: rollout.reward,
  advantage: rollout.advantage,
});

/** A line of completions.jsonl: the row, and what replaying the rollout needs. */
export interface RolloutRecord extends RolloutRow {
  prompt_id: number;
  /** Which of the samples of its prompt. */
  index: number;
  prompt_token_ids: readonly number[];
  token_ids: readonly number[];
  /** To the bit, in as few digits as that takes. */
  logprobs: number[];
}

/** An f32 in as few digits as tell it from its neighbours. */
export const f32Number = (value: number): number => Number(value.toPrecision(9));

export const rolloutRecord = (rollout: Rollout): RolloutRecord => ({
  ...rolloutRow(rollout),
  prompt_id: rollout.promptId,
  index: rollout.index,
  prompt_token_ids: rollout.promptTokenIds,
  token_ids: rollout.tokenIds,
  logprobs: rollout.logprobs.map(f32Number),
});

export interface RolloutHost {
  stopTokenIds: readonly number[];
  /** Problem i draws under the key `firstPromptId` (default 0) + i, so what it draws depends on nothing else in the batch. */
  firstPromptId?: number;
  signal?: AbortSignal | undefined;
  /** Responses finished, of all. */
  onProgress?: ((done: number, total: number) => void) | undefined;
  /** What is drawn, as it comes; a request is one of those that are drawn together. */
  onTokens?: OnTokens | undefined;
}

/** A problem as the engine is asked it. */
export interface Asked extends GenerateRequest {
  problem: Problem;
  /** As rendered. */
  prompt: string;
}

/** The requests of `problems`: the i-th draws under the key `firstPromptId` + i. */
export function askProblems(
  tokenizer: Tokenizer,
  task: Task,
  problems: readonly Problem[],
  firstPromptId: number,
): Asked[] {
  return tokenizer.within(() =>
    problems.map((problem, i) => ({
      promptId: firstPromptId + i,
      problem,
      ...renderPrompt(task, problem, tokenizer),
    })),
  );
}

/** What ends a response. */
export type Stops = Pick<SamplingParams, "stopTokenIds" | "stop">;

/** Has the task judge what was drawn for `asked`: a group, or the part of one that was asked for, for each, in their order. */
export function judgeGroups(
  tokenizer: Tokenizer,
  task: Task,
  asked: readonly Asked[],
  drawn: readonly DrawnOutput[],
  stops: Stops,
): Rollout[][] {
  return asked.map(({ promptId, problem, prompt, promptTokenIds }, i) =>
    drawn[i]!.outputs.map((completion) => ({
      ...completion,
      promptId,
      problem,
      prompt,
      promptTokenIds,
      ...judge(tokenizer, task, problem, completion, stops),
      advantage: 0,
    })),
  );
}

/** Hears of each response of `requests` that ends, of all that are asked for. */
export function countFinished(
  requests: readonly GenerateRequest[],
  params: Pick<SamplingParams, "n">,
  onProgress: RolloutHost["onProgress"],
): OnTokens {
  const total = countSamples(requests, params);
  const done = new Set<string>(); // a response that is sampled anew counts once
  return ({ request, index, finished }) => {
    const { size } = done;
    if (finished && done.add(`${request}/${index}`).size > size) onProgress?.(size + 1, total);
  };
}

/** Draws n responses to each problem and has the task judge them: a group for each problem, in their order. */
export async function sampleRollouts(
  llm: Pick<LLM, "generate">,
  tokenizer: Tokenizer,
  task: Task,
  problems: readonly Problem[],
  n: number,
  { temperature, topK, topP, minP, maxTokens, seed, stop }: Omit<SamplingParams, "n" | "stopTokenIds">,
  { stopTokenIds, firstPromptId = 0, signal, onProgress }: RolloutHost,
): Promise<Rollout[][]> {
  const asked = askProblems(tokenizer, task, problems, firstPromptId);
  const params = { n, temperature, topK, topP, minP, maxTokens, seed, stopTokenIds, stop };
  const onTokens = countFinished(asked, params, onProgress);
  const drawn = await llm.generate(asked, params, { onTokens, signal, decode: decodeWith(tokenizer) });
  return judgeGroups(tokenizer, task, asked, drawn, { stopTokenIds, stop });
}

export const decodeWith =
  (tokenizer: Tokenizer): Decode =>
  (tokenIds) =>
    tokenizer.decode(tokenIds, { skipSpecialTokens: true });

/** What the task says of a completion's text, which ends before a stop token or string. */
export function judge(
  tokenizer: Tokenizer,
  task: Task,
  problem: Problem,
  { tokenIds, finishReason }: Pick<Completion, "tokenIds" | "finishReason">,
  { stopTokenIds, stop = [] }: Stops,
) {
  const byToken = finishReason === "stop" && stopTokenIds.includes(tokenIds.at(-1)!);
  const text = beforeStop(decodeWith(tokenizer)(byToken ? tokenIds.slice(0, -1) : tokenIds), stop);
  const verdict = task.judge(problem, text);
  const { length } = tokenIds;
  const correct = isCorrect({ length, finishReason, correct: verdict.correct });
  const given = verdict.reward ?? Number(verdict.correct);
  if (!(given >= 0 && given <= 1))
    throw new ConfigError(`task ${task.name}: expected a reward from 0 to 1 for ${problem.id}, got ${given}`);
  const score = scoreOf({ length, finishReason, correct, score: given });
  return {
    text,
    length,
    extracted: verdict.extracted,
    correct,
    reason: finishReason === "length" ? "cut off" : verdict.reason,
    score,
    reward: score,
  };
}
