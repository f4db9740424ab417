import { engineSize, shareOfEngine, type EngineOptions } from "../engine/engine-size.ts";
import { countSamples, LLM, type GenerateRequest, type RequestOutput } from "../engine/llm.ts";
import { OutOfMemoryError } from "../errors.ts";
import type { Model } from "../model/model.ts";
import { Budget } from "./budget.ts";
import type { OnWarning } from "./micro-batches.ts";

/**
 * An engine that gets by with the memory there is. Where it runs out, idle memory is given back and what was asked for is sampled
 * anew; where it runs out again, with half the sequences at once and their share of the KV cache, and so is all that is asked for
 * later, as `budget` then has it: the tokens are the same, for none depends on what runs beside it.
 */
export class Sampler implements Pick<LLM, "generate"> {
  readonly #model: Model;
  readonly #options: EngineOptions;
  readonly #budget: Budget;
  readonly #onWarning: OnWarning;

  constructor(
    model: Model,
    options: EngineOptions,
    {
      budget = new Budget(),
      onWarning = () => {},
    }: { budget?: Budget | undefined; onWarning?: OnWarning | undefined } = {},
  ) {
    this.#model = model;
    this.#options = options;
    this.#budget = budget;
    this.#onWarning = onWarning;
  }

  /**
   * As LLM.generate, a call at a time. What is sampled anew is reported to `onTokens` once more.
   *
   * @throws OutOfMemoryError where one sequence does not fit alone
   */
  readonly generate: LLM["generate"] = async (requests, params, host) => {
    const full = engineSize(this.#model, this.#options);
    for (let tries = 0; ; tries++) {
      const maxNumSeqs = this.#budget.size(full.maxNumSeqs);
      try {
        await this.#model.reserve(longest(requests, params.maxTokens, full.maxModelLen));
        const outputs = await this.#sample(shareOfEngine(this.#model, full, maxNumSeqs), requests, params, host);
        this.#budget.pass(full.maxNumSeqs);
        return outputs;
      } catch (error) {
        if (!(error instanceof OutOfMemoryError)) throw error;
        await this.#model.gpu.trim();
        if (tries === 0) continue;
        const tried = Math.min(maxNumSeqs, countSamples(requests, params));
        if (tried === 1) {
          throw new OutOfMemoryError(
            `expected memory to sample one sequence of ${full.maxModelLen} tokens, got none: ${error.message}; lower engine.max_model_len, or use a smaller model`,
            { cause: error },
          );
        }
        const fewer = Math.floor(tried / 2);
        this.#budget.shrink(fewer);
        this.#onWarning(`out of memory with ${tried} sequences at once; samples on with ${fewer} (${error.message})`);
      }
    }
  };

  /** The engine has its KV cache for this alone: memory is another's until the next call. */
  async #sample(options: EngineOptions, ...asked: Parameters<LLM["generate"]>): Promise<RequestOutput[]> {
    const llm = new LLM(this.#model, options);
    try {
      return await llm.generate(...asked);
    } finally {
      llm.dispose();
    }
  }
}

/** Tokens of the longest sequence that there may be. */
const longest = (requests: readonly GenerateRequest[], maxTokens: number, limit: number): number =>
  Math.min(limit, requests.reduce((max, { promptTokenIds }) => Math.max(max, promptTokenIds.length), 0) + maxTokens);
