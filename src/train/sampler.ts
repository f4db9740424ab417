import { engineSize, halfEngine, type EngineOptions } from "../engine/engine-size.ts";
import { LLM, type GenerateRequest } from "../engine/llm.ts";
import { OutOfMemoryError } from "../errors.ts";
import type { Model } from "../model/model.ts";
import { takeBack, type OnWarning } from "./micro-batches.ts";

/**
 * An engine that gets by with the memory there is. Where it runs out, what was asked for is sampled anew with half the sequences
 * at once and half the KV cache, and so is all that is asked for later: the tokens are the same, for none depends on what runs
 * beside it.
 */
export class Sampler implements Pick<LLM, "generate"> {
  readonly #model: Model;
  readonly #onWarning: OnWarning;
  #options: EngineOptions;
  #llm: LLM | null = null;

  constructor(model: Model, options: EngineOptions, onWarning: OnWarning = () => {}) {
    this.#model = model;
    this.#options = options;
    this.#onWarning = onWarning;
  }

  /**
   * As LLM.generate. What is sampled anew is reported to `onTokens` once more.
   *
   * @throws OutOfMemoryError where one sequence does not fit alone
   */
  readonly generate: LLM["generate"] = async (requests, params, host) => {
    const { gpu } = this.#model;
    for (;;) {
      const size = engineSize(this.#model, this.#options);
      this.#model.rope(longest(requests, params.maxTokens, size.maxModelLen)); // outlives the engine
      const before = gpu.pool.inUse();
      try {
        this.#llm ??= new LLM(this.#model, this.#options);
        return await this.#llm.generate(requests, params, host);
      } catch (error) {
        if (!(error instanceof OutOfMemoryError)) throw error;
        this.dispose();
        await takeBack(gpu, before);
        const tried = Math.min(size.maxNumSeqs, requests.length * params.n);
        if (tried === 1) {
          throw new OutOfMemoryError(
            `expected memory to sample one sequence of ${size.maxModelLen} tokens, got none: ${error.message}; lower engine.max_model_len, or use a smaller model`,
            { cause: error },
          );
        }
        this.#options = halfEngine(this.#model, { ...size, maxNumSeqs: tried });
        this.#onWarning(
          `out of memory with ${tried} sequences at once; samples on with ${this.#options.maxNumSeqs} (${error.message})`,
        );
      }
    }
  };

  dispose(): void {
    this.#llm?.dispose();
    this.#llm = null;
  }
}

/** Tokens of the longest sequence that there may be. */
const longest = (requests: readonly GenerateRequest[], maxTokens: number, limit: number): number =>
  Math.min(limit, requests.reduce((max, { promptTokenIds }) => Math.max(max, promptTokenIds.length), 0) + maxTokens);
