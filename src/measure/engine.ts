import { LLM } from "../engine/llm.ts";
import { ModelRunner } from "../engine/model-runner.ts";
import type { SamplingParams } from "../engine/sampling-params.ts";
import { Sequence } from "../engine/sequence.ts";
import type { Storage } from "../gpu/tensor.ts";
import type { ModelConfig } from "../model/config.ts";
import type { Model } from "../model/model.ts";
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

const PROMPTS = 32;
const GENERATIONS = 8;
const PROMPT_LENGTH = 64;

/**
 * How long responses are: a token ends one with the same chance everywhere, so lengths are spread as widely as their mean, and a
 * few are cut off.
 */
export interface Lengths {
  mean: number;
  longest: number;
}

export const lengthsOf = ({ maxPositionEmbeddings }: ModelConfig): Lengths => {
  const longest = Math.min(1024, maxPositionEmbeddings - PROMPT_LENGTH);
  return { mean: Math.round(longest / 4), longest };
};

/** As many stop tokens as make responses that long where all tokens are about as probable, as they are with random weights. */
const stopTokens = ({ vocabSize }: ModelConfig, mean: number): number[] =>
  Array.from({ length: Math.max(1, Math.round(vocabSize / mean)) }, (_, i) => vocabSize - 1 - i);

export const RESPONSES = PROMPTS * GENERATIONS;

/** Responses to `count` / GENERATIONS prompts: prompts and responses together. */
export async function sampleResponses(
  llm: LLM,
  { mean, longest }: Lengths,
  count = RESPONSES,
): Promise<{ tokenIds: number[]; promptLength: number; logprobs: number[] }[]> {
  const { config } = llm.model;
  const requests = Array.from({ length: count / GENERATIONS }, (_, promptId) => ({
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

export function rolloutOptions(config: ModelConfig, storage: Storage, { longest }: Lengths) {
  const maxModelLen = PROMPT_LENGTH + longest;
  // For all at half their greatest length.
  const kvCacheBytes = (RESPONSES * maxModelLen * positionBytes(config, storage)) / 2;
  return { maxNumSeqs: RESPONSES, maxModelLen, kvCacheBytes, blockSize: BLOCK_SIZE };
}

/** A rollout as reinforcement learning has it: groups of responses, whose lengths differ widely. */
export function rollout(config: ModelConfig, storage: Storage): Workload {
  const lengths = lengthsOf(config);
  return {
    part: "rollout",
    name: "rollout",
    shape: `${RESPONSES} responses of about ${lengths.mean}, at most ${lengths.longest}`,
    estimate: rolloutCost(
      config,
      storage,
      Array.from({ length: RESPONSES }, (_, i) => (i === 0 ? lengths.longest : lengths.mean)),
    ),
    async run(watch, model, maxSeconds) {
      const llm = new LLM(model, rolloutOptions(config, storage, lengths));
      let sampled: number[] = [];
      const work = async () => {
        const responses = await sampleResponses(llm, lengths);
        sampled = responses.map((response) => response.logprobs.length);
      };
      const warmUp = async () => void (await sampleResponses(llm, { mean: 8, longest: 16 }));
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

/** A model's engine for rollouts of these lengths. */
export const rolloutEngine = (model: Model, lengths: Lengths): LLM =>
  new LLM(model, rolloutOptions(model.config, model.storage, lengths));
