import { LLM } from "../engine/llm.ts";
import { ModelRunner } from "../engine/model-runner.ts";
import type { SamplingParams } from "../engine/sampling-params.ts";
import { Sequence } from "../engine/sequence.ts";
import type { Storage } from "../gpu/tensor.ts";
import type { ModelConfig } from "../model/config.ts";
import { addCosts, decodeCost, positionBytes, prefillCost, type Cost } from "./cost.ts";
import { BLOCK_SIZE } from "./kernels/attention.ts";
import { summarize } from "./statistics.ts";
import type { Workload } from "./workload.ts";

/** Tokens that mean nothing, no two neighbours alike. */
export const tokenIds = (config: ModelConfig, length: number): number[] =>
  Array.from({ length }, (_, i) => (i * 7919 + 5) % config.vocabSize);

const SAMPLING: SamplingParams = {
  n: 1,
  temperature: 1,
  topK: 0,
  topP: 1,
  maxTokens: 1,
  seed: 1,
  stopTokenIds: [],
};

/** One prompt's keys and values. */
export function prefill(config: ModelConfig, storage: Storage, length: number): Workload {
  const cost = prefillCost(config, storage, [length]);
  return {
    part: "prefill",
    name: "prefill",
    shape: `a prompt of ${length}`,
    estimate: cost,
    async run(watch, model, maxSeconds) {
      const numBlocks = Math.ceil((length + 1) / BLOCK_SIZE);
      const runner = new ModelRunner(model, { numBlocks, blockSize: BLOCK_SIZE, maxLength: length + 1 });
      const prompt = { promptId: 0, tokenIds: tokenIds(config, length), sharedBlocks: [], holders: 0 };
      const sequence = new Sequence(prompt, 0, length + 1);
      sequence.blocks = Array.from({ length: numBlocks }, (_, block) => block);
      const once = async () => {
        await runner.prefill([{ sequence, start: 0, end: length }]);
        await model.gpu.idle();
      };
      try {
        const timing = await watch.waited({ warmUp: once, work: once }, maxSeconds);
        return [{ name: "prefill", timing, cost, tokens: length }];
      } finally {
        runner.dispose();
      }
    },
  };
}

/** Tokens of each sequence; those of the first submits are not counted. */
const DECODED = 96;
const WARM_UP_SUBMITS = 3;

/** A step in which each of `batch` sequences gets a token, some after `context` positions. */
export function decode(config: ModelConfig, storage: Storage, batch: number, wanted: number): Workload {
  const context = Math.max(1, Math.min(wanted, config.maxPositionEmbeddings - DECODED));
  const cost = decodeCost(config, storage, batch, context + DECODED / 2);
  return {
    part: "decode",
    name: "decode",
    shape: `batch ${batch} at ${context} positions`,
    estimate: { flops: DECODED * cost.flops, bytes: DECODED * cost.bytes },
    async run(_watch, model) {
      const maxModelLen = context + DECODED;
      // The prompt is shared, what follows is each sequence's own; the cache is read for each all the same.
      const kvCacheBytes = 2 * batch * (maxModelLen + BLOCK_SIZE) * positionBytes(config, storage);
      const llm = new LLM(model, { maxNumSeqs: batch, maxModelLen, kvCacheBytes, blockSize: BLOCK_SIZE });
      const steps: number[] = [];
      let last = performance.now();
      const onTokens = ({ index, tokenIds: tokens }: { index: number; tokenIds: number[] }) => {
        if (index !== 0) return;
        const now = performance.now();
        steps.push((now - last) / tokens.length);
        last = now;
      };
      const request = { promptId: 0, promptTokenIds: tokenIds(config, context) };
      try {
        await llm.generate([request], { ...SAMPLING, n: batch, maxTokens: DECODED }, { onTokens });
      } finally {
        llm.dispose();
      }
      const ms = summarize(steps.slice(WARM_UP_SUBMITS));
      return [{ name: "decode", timing: { ms, clock: "host" }, cost, tokens: batch }];
    },
  };
}

export const GENERATIONS = 8;
export const PROMPT_LENGTH = 64;

/**
 * GENERATIONS responses to each prompt. A token ends one with the same chance everywhere, so lengths are spread as widely as their
 * mean, and a few are cut off.
 */
export interface Rollouts {
  prompts: number;
  /** Tokens of a response. */
  mean: number;
  longest: number;
}

export const rolloutsOf = ({ maxPositionEmbeddings }: ModelConfig): Rollouts => {
  const longest = Math.min(1024, maxPositionEmbeddings - PROMPT_LENGTH);
  return { prompts: 32, mean: Math.round(longest / 4), longest };
};

/** For the kernels to be compiled before anything is timed. */
export const brief = (rollouts: Rollouts): Rollouts => ({ ...rollouts, mean: 8, longest: 16 });

export const describe = ({ prompts, mean, longest }: Rollouts): string =>
  `${prompts * GENERATIONS} responses of about ${mean}, at most ${longest}`;

/** Lengths that are expected, the longest first. */
export const expectedLengths = ({ prompts, mean, longest }: Rollouts): number[] =>
  Array.from({ length: prompts * GENERATIONS }, (_, i) => (i === 0 ? longest : mean));

/** As many stop tokens as make responses that long where all tokens are about as probable, as they are with random weights. */
const stopTokens = ({ vocabSize }: ModelConfig, mean: number): number[] =>
  Array.from({ length: Math.max(1, Math.round(vocabSize / mean)) }, (_, i) => vocabSize - 1 - i);

/** Prompts and responses together. */
export async function sampleResponses(
  llm: LLM,
  { prompts, mean, longest }: Rollouts,
): Promise<{ tokenIds: number[]; promptLength: number; logprobs: number[] }[]> {
  const { config } = llm.model;
  const requests = Array.from({ length: prompts }, (_, promptId) => ({
    promptId,
    promptTokenIds: tokenIds(config, PROMPT_LENGTH + promptId).slice(promptId),
  }));
  const stopTokenIds = stopTokens(config, mean);
  const outputs = await llm.generate(requests, { ...SAMPLING, n: GENERATIONS, maxTokens: longest, stopTokenIds });
  return outputs.flatMap(({ promptTokenIds, outputs: responses }) =>
    responses.map((response) => ({
      tokenIds: [...promptTokenIds, ...response.tokenIds],
      promptLength: PROMPT_LENGTH,
      logprobs: response.logprobs,
    })),
  );
}

/** What sampling responses of these lengths costs: prompts once a group, then as many steps as the longest has tokens. */
export function rolloutCost(config: ModelConfig, storage: Storage, lengths: readonly number[]): Cost {
  const prompts = Array.from({ length: lengths.length / GENERATIONS }, () => PROMPT_LENGTH);
  const tokens = lengths.reduce((a, b) => a + b, 0);
  const steps = Math.max(...lengths);
  const positions = lengths.reduce((sum, n) => sum + n * (PROMPT_LENGTH + n / 2), 0);
  const perToken = decodeCost(config, storage, 1, positions / tokens);
  const weights = decodeCost(config, storage, 0, 0).bytes;
  return addCosts(prefillCost(config, storage, prompts), {
    flops: tokens * perToken.flops,
    bytes: steps * weights + positions * positionBytes(config, storage),
  });
}

export function rolloutOptions(config: ModelConfig, storage: Storage, { prompts, longest }: Rollouts) {
  const responses = prompts * GENERATIONS;
  const maxModelLen = PROMPT_LENGTH + longest;
  // For all at half their greatest length.
  const kvCacheBytes = (responses * maxModelLen * positionBytes(config, storage)) / 2;
  return { maxNumSeqs: responses, maxModelLen, kvCacheBytes, blockSize: BLOCK_SIZE };
}

/** A rollout as reinforcement learning has it: groups of responses, whose lengths differ widely. */
export function rollout(config: ModelConfig, storage: Storage): Workload {
  const rollouts = rolloutsOf(config);
  return {
    part: "rollout",
    name: "rollout",
    shape: describe(rollouts),
    estimate: rolloutCost(config, storage, expectedLengths(rollouts)),
    async run(watch, model, maxSeconds) {
      const llm = new LLM(model, rolloutOptions(config, storage, rollouts));
      let sampled: number[] = [];
      const work = async () => {
        const responses = await sampleResponses(llm, rollouts);
        sampled = responses.map((response) => response.logprobs.length);
      };
      const warmUp = async () => void (await sampleResponses(llm, brief(rollouts)));
      try {
        const timing = await watch.waited({ warmUp, work }, maxSeconds);
        const tokens = sampled.reduce((a, b) => a + b, 0);
        return [{ name: "rollout", timing, cost: rolloutCost(config, storage, sampled), tokens }];
      } finally {
        llm.dispose();
      }
    },
  };
}
