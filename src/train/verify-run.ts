import { stageAt } from "../core/schedule.ts";
import { FormatError } from "../errors.ts";
import type { Gpu } from "../gpu/gpu.ts";
import type { Tokenizer } from "../hf/tokenizer.ts";
import type { RunFolder } from "../run/run-folder.ts";
import type { Files } from "../runtime/types.ts";
import { engineSize } from "../engine/engine-size.ts";
import { checkpointSteps } from "./checkpoint.ts";
import { MicroBatches } from "./micro-batches.ts";
import { engineOptions } from "./options.ts";
import { replay, type Claim, type Difference } from "./replay.ts";
import { decodeWith, type RolloutRecord } from "./rollouts.ts";
import { runModels } from "./run-models.ts";

/** An iteration's rollouts, drawn again from the weights they were drawn from. */
export interface ReplayedIteration {
  iteration: number;
  rollouts: RolloutRecord[];
  /** The first difference of each rollout that has one; `claim` is its place in `rollouts`. */
  differences: Difference[];
}

/**
 * Replays what a reinforcement-learning run logged, as far as the weights are still there: the first iteration from the model
 * that the run began with, and the one that each checkpoint's weights drew.
 *
 * @throws FormatError where rows lack what a replay needs
 */
export async function* verifyRun(
  gpu: Gpu,
  files: Files,
  folder: RunFolder,
  { modelDir, stopTokenIds, tokenizer }: { modelDir: string; stopTokenIds: readonly number[]; tokenizer: Tokenizer },
): AsyncGenerator<ReplayedIteration> {
  const { rl, train } = folder.config;
  const models = await runModels(gpu, files, folder.config, modelDir);
  const modelAfter = new Map([
    [0, models.begin],
    ...(await checkpointSteps(files, folder.checkpoints)).map(
      ({ step, path }) => [step, () => models.load(path)] as const,
    ),
  ]);
  const drawnAfter = (iteration: number) => Math.max(0, iteration - 1 - rl.lag);
  const byIteration = new Map<number, RolloutRecord[]>();
  for await (const row of folder.readCompletions()) {
    const iteration = Number(row["step"]);
    if (!modelAfter.has(drawnAfter(iteration))) continue;
    if (!byIteration.has(iteration)) byIteration.set(iteration, []);
    byIteration.get(iteration)!.push(row as unknown as RolloutRecord);
  }
  for (const [iteration, rollouts] of byIteration) {
    const claims = rollouts.map((row) => claimOf(row, `${folder.dir}/completions.jsonl, iteration ${iteration}`));
    const model = await modelAfter.get(drawnAfter(iteration))!();
    try {
      const differences = await replay(model, new MicroBatches(train.tokens_per_micro_batch), claims, {
        temperature: rl.temperature,
        topK: rl.top_k,
        topP: rl.top_p,
        minP: rl.min_p,
        stop: rl.stop,
        decode: decodeWith(tokenizer),
        maxTokens: stageAt(rl.max_completion_length, iteration - 1),
        seed: train.seed,
        stopTokenIds,
        maxModelLen: engineSize(model, engineOptions(folder.config)).maxModelLen,
      });
      yield { iteration, rollouts, differences };
    } finally {
      model.dispose();
    }
  }
}

function claimOf(row: Partial<RolloutRecord>, where: string): Claim {
  const { prompt_id: promptId, index, prompt_token_ids: promptTokenIds, token_ids: tokenIds, logprobs } = row;
  const numbers = (value: unknown): value is number[] => Array.isArray(value) && value.every(Number.isFinite);
  if (
    !Number.isSafeInteger(promptId) ||
    !Number.isSafeInteger(index) ||
    !numbers(promptTokenIds) ||
    !numbers(tokenIds) ||
    !numbers(logprobs) ||
    promptTokenIds.length === 0
  ) {
    throw new FormatError(
      `${where}: expected prompt_id, index, prompt_token_ids, token_ids and logprobs of every response, got a row without; only runs of pith train can be verified`,
    );
  }
  return {
    promptId: promptId!,
    index: index!,
    promptTokenIds,
    tokenIds,
    logprobs: logprobs.map(Math.fround),
    finishReason: row.finish_reason!,
  };
}
