import type { OnTokens } from "../../src/engine/llm.ts";
import { StreamDecoder, type Tokenizer } from "../../src/hf/tokenizer.ts";
import { NUM_GENERATIONS, type Sampled } from "./protocol.ts";

/** Characters that are shown of a response. */
const TAIL = 80;
/** Milliseconds between two reports. */
const INTERVAL = 300;

/** Follows the responses to an iteration's first prompt as they are sampled, and reports them a few times a second. */
export class Sampling {
  readonly #tokenizer: Tokenizer;
  readonly #report: (responses: Sampled[]) => void;
  #responses: (Sampled & { decoder: StreamDecoder })[] = [];
  #reported = 0;

  constructor(tokenizer: Tokenizer, report: (responses: Sampled[]) => void) {
    this.#tokenizer = tokenizer;
    this.#report = report;
  }

  readonly onTokens: OnTokens = ({ request, index, tokenIds, finished }) => {
    if (request > 0) return;
    if (this.#responses.length === 0 || this.#responses[index]!.finished) this.#begin(); // it is sampled anew
    const response = this.#responses[index]!;
    response.tokens += tokenIds.length;
    response.tail = (response.tail + response.decoder.push(tokenIds, finished)).slice(-TAIL);
    response.finished = finished;
    if (performance.now() - this.#reported < INTERVAL) return;
    this.#reported = performance.now();
    this.#report(this.#responses.map(({ decoder: _, ...shown }) => shown));
  };

  /** Nothing is sampled any more. */
  end(): void {
    this.#responses = [];
    this.#report([]);
  }

  #begin(): void {
    this.#responses = Array.from({ length: NUM_GENERATIONS }, () => ({
      tokens: 0,
      tail: "",
      finished: false,
      decoder: new StreamDecoder(this.#tokenizer),
    }));
  }
}
