import { ConfigError, PithError } from "../errors.ts";
import type { Model } from "../model/model.ts";
import { BlockManager } from "./block-manager.ts";
import { engineSize, type EngineOptions } from "./engine-size.ts";
import { ModelRunner } from "./model-runner.ts";
import { checkSamplingParams, type SamplingParams } from "./sampling-params.ts";
import { Scheduler } from "./scheduler.ts";
import { stopsAfter, type Decode } from "./stop-strings.ts";
import { Sequence, type FinishReason, type Prompt } from "./sequence.ts";

export interface GenerateRequest {
  /** Key of the random numbers: the same (seed, promptId, sample, position) draws the same token whatever else runs. */
  promptId: number;
  promptTokenIds: readonly number[];
  /** The first of its samples, 0 by default: samples are keys of their own, so that they may be asked for in parts. */
  firstSample?: number;
  /** How many from there on, n of the parameters by default. */
  samples?: number;
}

/** Completions that are asked for in all. */
export const countSamples = (requests: readonly GenerateRequest[], { n }: Pick<SamplingParams, "n">): number =>
  requests.reduce((sum, { samples = n }) => sum + samples, 0);

/** A response as the engine made it. */
export interface Completion {
  /** Which of the prompt's samples. */
  index: number;
  /** The stop token or the tokens of the stop string included, where there is one. */
  tokenIds: number[];
  /** log p of each token under the distribution at the sampling temperature, before top-k, top-p and min-p. */
  logprobs: number[];
  finishReason: FinishReason;
}

export interface RequestOutput {
  promptId: number;
  promptTokenIds: readonly number[];
  outputs: Completion[];
}

/** New tokens of one sample, as they come. */
export interface TokenUpdate {
  index: number;
  tokenIds: number[];
  finished: boolean;
}

export type OnTokens = (update: TokenUpdate & { request: number }) => void;

/** A request under way. */
interface Job {
  promptId: number;
  promptTokenIds: readonly number[];
  sequences: readonly Sequence[];
  params: SamplingParams;
  stops: ReadonlySet<number>;
  /** Whether the last of its tokens completes a stop string; null without such strings. */
  stopsAfter: ((tokenIds: readonly number[]) => boolean) | null;
  onTokens: ((update: TokenUpdate) => void) | undefined;
  signal: AbortSignal | undefined;
  resolve(output: RequestOutput): void;
  reject(error: unknown): void;
}

/** Decode steps recorded into one submit: a sequence runs this many steps at most past its end. */
const STEPS_PER_SUBMIT = 8;

/**
 * Samples from a model with continuous batching over a paged KV cache. Requests may be added while others run: they join at the
 * next submit, and what a request draws does not depend on the others. The model's weights must not change while one is under way.
 */
export class LLM {
  readonly model: Model;
  readonly maxModelLen: number;
  /** Sequences that decode together at most. */
  readonly maxNumSeqs: number;
  /** Positions that the KV cache holds. */
  readonly numPositions: number;
  readonly #scheduler: Scheduler;
  readonly #runner: ModelRunner;
  readonly #jobs = new Map<Sequence, Job>();
  #working = false;

  constructor(model: Model, options: EngineOptions = {}) {
    const { blockSize, maxNumSeqs, maxModelLen, numBlocks } = engineSize(model, options);
    this.model = model;
    this.maxModelLen = maxModelLen;
    this.maxNumSeqs = maxNumSeqs;
    this.numPositions = numBlocks * blockSize;
    this.#scheduler = new Scheduler([], new BlockManager(numBlocks, blockSize), maxNumSeqs);
    this.#runner = new ModelRunner(model, { numBlocks, blockSize, maxLength: maxModelLen });
  }

  /**
   * n completions for each request, or as many as it asks for, in the order of the requests. A completion ends with a stop token or
   * string ("stop"; strings take `decode`) or at `maxTokens` or the context's end ("length"). Aborting between submits rejects with
   * the signal's reason. Several calls may be under way on one engine, or on several engines of one model: they share nothing that a
   * call changes.
   *
   * @throws PithError where the logits are not finite, OutOfMemoryError, DeviceLostError: these end all that is under way here
   */
  async generate(
    requests: readonly GenerateRequest[],
    params: SamplingParams,
    { onTokens, ...host }: { onTokens?: OnTokens; signal?: AbortSignal; decode?: Decode } = {},
  ): Promise<RequestOutput[]> {
    checkSamplingParams(params);
    for (const request of requests) this.#checkRequest(request);
    return Promise.all(
      requests.map((request, i) =>
        this.addRequest(request, params, {
          ...(onTokens ? { onTokens: (update) => onTokens({ request: i, ...update }) } : {}),
          ...host,
        }),
      ),
    );
  }

  /** A request's completions; it joins those under way. An abort ends this request alone. */
  addRequest(
    request: GenerateRequest,
    params: SamplingParams,
    {
      onTokens,
      signal,
      decode,
    }: { onTokens?: (update: TokenUpdate) => void; signal?: AbortSignal; decode?: Decode } = {},
  ): Promise<RequestOutput> {
    return new Promise((resolve, reject) => {
      checkSamplingParams(params);
      const { stop = [] } = params;
      if (stop.length > 0 && !decode)
        throw new ConfigError("stop: expected a tokenizer to know what tokens say, got none");
      this.#checkRequest(request);
      const sequences = this.#sequences(request, params);
      const job: Job = {
        ...request,
        sequences,
        params,
        stops: new Set(params.stopTokenIds),
        stopsAfter: stop.length > 0 ? stopsAfter(stop, decode!) : null,
        onTokens,
        signal,
        resolve,
        reject,
      };
      for (const sequence of sequences) this.#jobs.set(sequence, job);
      this.#scheduler.add(sequences);
      if (!this.#working) void this.#work();
    });
  }

  /**
   * To end requests that are under way, abort them and await that each has settled.
   *
   * @throws Error while a request is under way: its buffers are in use
   */
  dispose(): void {
    if (this.#jobs.size > 0) throw new Error("expected no request under way; abort them and await their end first");
    this.#runner.dispose();
  }

  /** Runs until no request is left. What goes wrong is the requests' to hear. */
  async #work(): Promise<void> {
    this.#working = true;
    let failure: { error: unknown } | null = null;
    try {
      await Promise.resolve(); // what is added in the same turn begins together
      await this.#runner.begin();
      for (;;) {
        this.#dropAborted();
        const prefills = this.#scheduler.schedule(STEPS_PER_SUBMIT);
        if (this.#scheduler.done) break;
        await this.model.reserve(Math.max(...Array.from(this.#jobs.keys(), ({ maxLength }) => maxLength)));
        await this.#runner.prefill(prefills);
        const running = Map.groupBy(this.#scheduler.running, (sequence) =>
          drawnAlike(this.#jobs.get(sequence)!.params),
        );
        for (const sequences of running.values()) await this.#decode(sequences);
      }
    } catch (error) {
      failure = { error };
    }
    const jobs = new Set(this.#jobs.values());
    for (const { sequences } of jobs) this.#forget(sequences);
    this.#runner.end();
    this.#working = false;
    if (failure) for (const { reject } of jobs) reject(failure.error);
  }

  /** Draws the next tokens of sequences whose parameters are alike. */
  async #decode(sequences: readonly Sequence[]): Promise<void> {
    const { params } = this.#jobs.get(sequences[0]!)!;
    const { tokenIds, logprobs } = await this.#runner.decode(sequences, STEPS_PER_SUBMIT, params);
    sequences.forEach((sequence, row) => {
      const job = this.#jobs.get(sequence)!;
      const before = sequence.tokenIds.length;
      for (let step = 0; step < STEPS_PER_SUBMIT && !sequence.finishReason; step++) {
        const at = step * sequences.length + row;
        if (!Number.isFinite(logprobs[at])) throw notFinite(job, sequence);
        sequence.append(tokenIds[at]!, logprobs[at]!, job.stops);
        if (job.stopsAfter?.(sequence.tokenIds)) sequence.finishReason = "stop";
      }
      const finished = sequence.finishReason !== null;
      job.onTokens?.({ index: sequence.sample, tokenIds: sequence.tokenIds.slice(before), finished });
      if (finished && job.sequences.every(({ finishReason }) => finishReason)) this.#finish(job);
    });
  }

  #finish({ promptId, promptTokenIds, sequences, resolve }: Job): void {
    this.#forget(sequences);
    const outputs = sequences.map(({ sample, tokenIds, logprobs, finishReason }) => ({
      index: sample,
      tokenIds,
      logprobs,
      finishReason: finishReason!,
    }));
    resolve({ promptId, promptTokenIds, outputs });
  }

  #dropAborted(): void {
    for (const { sequences, signal, reject } of new Set(this.#jobs.values())) {
      if (!signal?.aborted) continue;
      this.#forget(sequences);
      reject(signal.reason);
    }
  }

  #forget(sequences: readonly Sequence[]): void {
    for (const sequence of sequences) {
      this.#scheduler.remove(sequence);
      this.#jobs.delete(sequence);
    }
  }

  #checkRequest({ promptTokenIds, samples = 1 }: GenerateRequest): void {
    if (!(Number.isInteger(samples) && samples >= 1))
      throw new ConfigError(`samples: expected a whole number of at least 1, got ${samples}`);
    const { vocabSize } = this.model.config;
    if (promptTokenIds.length === 0) throw new ConfigError("a prompt: expected at least one token, got none");
    if (promptTokenIds.length >= this.maxModelLen) {
      throw new ConfigError(
        `a prompt: expected fewer than ${this.maxModelLen} tokens, the context's length, got ${promptTokenIds.length}`,
      );
    }
    const outside = promptTokenIds.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize);
    if (outside !== undefined)
      throw new ConfigError(`a prompt: expected token ids from 0 to ${vocabSize - 1}, got ${outside}`);
  }

  #sequences(
    { promptId, promptTokenIds, firstSample = 0, samples }: GenerateRequest,
    { n, maxTokens }: SamplingParams,
  ): Sequence[] {
    const prompt: Prompt = { promptId, tokenIds: promptTokenIds, sharedBlocks: [], holders: 0 };
    const maxLength = Math.min(promptTokenIds.length + maxTokens, this.maxModelLen);
    return Array.from({ length: samples ?? n }, (_, i) => new Sequence(prompt, firstSample + i, maxLength));
  }
}

const notFinite = ({ promptId }: Job, { sample, length }: Sequence): PithError =>
  new PithError(
    `expected finite logits, got NaN or infinity at position ${length} of prompt ${promptId}, sample ${sample}; the model's weights are damaged or have diverged: use an earlier checkpoint`,
  );

/** Equal for parameters that one decode step can serve. */
const drawnAlike = ({ temperature, topK, topP, minP = 0, seed, stopTokenIds }: SamplingParams): string =>
  JSON.stringify([temperature, topK, topP, minP, seed, stopTokenIds]);
