import { ConfigError } from "../errors.ts";
import type { Model } from "../model/model.ts";
import { BlockManager } from "./block-manager.ts";
import { engineSize, type EngineOptions } from "./engine-size.ts";
import { ModelRunner } from "./model-runner.ts";
import { checkSamplingParams, type SamplingParams } from "./sampling-params.ts";
import { Scheduler } from "./scheduler.ts";
import { Sequence, type FinishReason, type Prompt } from "./sequence.ts";

export interface GenerateRequest {
  /** Key of the random numbers: the same (seed, promptId, sample, position) draws the same token whatever else runs. */
  promptId: number;
  promptTokenIds: readonly number[];
}

/** A response as the engine made it. */
export interface Completion {
  /** Which of the n samples. */
  index: number;
  /** The stop token included, where there is one. */
  tokenIds: number[];
  /** log p of each token under the distribution at the sampling temperature, before top-k and top-p. */
  logprobs: number[];
  finishReason: FinishReason;
}

export interface RequestOutput {
  promptId: number;
  promptTokenIds: readonly number[];
  outputs: Completion[];
}

/** New tokens of one sample, as they come. */
export type OnTokens = (update: { request: number; index: number; tokenIds: number[]; finished: boolean }) => void;

/** Decode steps recorded into one submit: a sequence runs this many steps at most past its end. */
const STEPS_PER_SUBMIT = 8;

/** Samples from a model with continuous batching over a paged KV cache. */
export class LLM {
  readonly model: Model;
  readonly maxModelLen: number;
  readonly #blocks: BlockManager;
  readonly #runner: ModelRunner;
  /** Sequences that decode together at most. */
  readonly maxNumSeqs: number;
  /** Positions that the KV cache holds. */
  readonly numPositions: number;

  constructor(model: Model, options: EngineOptions = {}) {
    const { blockSize, maxNumSeqs, maxModelLen, numBlocks } = engineSize(model, options);
    this.model = model;
    this.maxModelLen = maxModelLen;
    this.maxNumSeqs = maxNumSeqs;
    this.numPositions = numBlocks * blockSize;
    this.#blocks = new BlockManager(numBlocks, blockSize);
    this.#runner = new ModelRunner(model, { numBlocks, blockSize, maxLength: maxModelLen });
  }

  /**
   * n completions for each request, in the order of the requests. A completion ends with a stop token ("stop") or at
   * `maxTokens` or the context's end ("length"). Aborting between submits rejects with the signal's reason.
   */
  async generate(
    requests: readonly GenerateRequest[],
    params: SamplingParams,
    { onTokens, signal }: { onTokens?: OnTokens; signal?: AbortSignal } = {},
  ): Promise<RequestOutput[]> {
    checkSamplingParams(params);
    const groups = requests.map(({ promptId, promptTokenIds }) => this.#sequences(promptId, promptTokenIds, params));
    const requestOf = new Map(
      groups.flatMap((group, request) => group.map((sequence) => [sequence, request] as const)),
    );
    const stops = new Set(params.stopTokenIds);
    const scheduler = new Scheduler(groups.flat(), this.#blocks, this.maxNumSeqs);
    try {
      this.#runner.begin();
      for (;;) {
        signal?.throwIfAborted();
        this.#runner.prefill(scheduler.schedule(STEPS_PER_SUBMIT));
        if (scheduler.done) break;
        const running = [...scheduler.running];
        const { tokenIds, logprobs } = await this.#runner.decode(running, STEPS_PER_SUBMIT, params);
        running.forEach((sequence, row) => {
          const before = sequence.tokenIds.length;
          for (let step = 0; step < STEPS_PER_SUBMIT && !sequence.finishReason; step++) {
            const at = step * running.length + row;
            sequence.append(tokenIds[at]!, logprobs[at]!, stops);
          }
          onTokens?.({
            request: requestOf.get(sequence)!,
            index: sequence.sample,
            tokenIds: sequence.tokenIds.slice(before),
            finished: sequence.finishReason !== null,
          });
        });
      }
    } finally {
      scheduler.abort();
      this.#runner.end();
    }
    return groups.map((group, request) => ({
      promptId: requests[request]!.promptId,
      promptTokenIds: requests[request]!.promptTokenIds,
      outputs: group.map(({ sample, tokenIds, logprobs, finishReason }) => ({
        index: sample,
        tokenIds,
        logprobs,
        finishReason: finishReason!,
      })),
    }));
  }

  dispose(): void {
    this.#runner.dispose();
  }

  #sequences(promptId: number, tokenIds: readonly number[], { n, maxTokens }: SamplingParams): Sequence[] {
    const { vocabSize } = this.model.config;
    if (tokenIds.length === 0) throw new ConfigError("a prompt: expected at least one token, got none");
    if (tokenIds.length >= this.maxModelLen) {
      throw new ConfigError(
        `a prompt: expected fewer than ${this.maxModelLen} tokens, the context's length, got ${tokenIds.length}`,
      );
    }
    const outside = tokenIds.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize);
    if (outside !== undefined)
      throw new ConfigError(`a prompt: expected token ids from 0 to ${vocabSize - 1}, got ${outside}`);
    const prompt: Prompt = { promptId, tokenIds, sharedBlocks: [], holders: 0 };
    const maxLength = Math.min(tokenIds.length + maxTokens, this.maxModelLen);
    return Array.from({ length: n }, (_, sample) => new Sequence(prompt, sample, maxLength));
  }
}
