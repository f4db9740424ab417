import { ConfigError } from "../errors.ts";

/** How completions are drawn; names as in vLLM, in camelCase. */
export interface SamplingParams {
  /** Completions for each prompt. */
  n: number;
  /** 0 is greedy, and so is what is too small to divide f32 logits by, below 1e-30. */
  temperature: number;
  /** Keep the k most probable tokens; 0 keeps all. */
  topK: number;
  /** Keep the most probable tokens that together reach this probability; 1 keeps all. */
  topP: number;
  /** Keep, of those, the tokens of at least this times the most probable one's probability; 0, the default, keeps all. */
  minP?: number;
  /** Completion tokens at most, the stop token counted. */
  maxTokens: number;
  seed: number;
  stopTokenIds: readonly number[];
  /** Strings that end a completion as a stop token does, once they are said; its tokens keep them. */
  stop?: readonly string[];
}

export function checkSamplingParams({
  n,
  temperature,
  topK,
  topP,
  minP = 0,
  maxTokens,
  seed,
  stop = [],
}: SamplingParams): void {
  const check = (ok: boolean, name: string, range: string, got: number) => {
    if (!ok) throw new ConfigError(`${name}: expected ${range}, got ${got}`);
  };
  check(Number.isInteger(n) && n >= 1, "n", "a whole number of at least 1", n);
  check(temperature >= 0 && Number.isFinite(temperature), "temperature", "a number of at least 0", temperature);
  check(Number.isInteger(topK) && topK >= 0, "top_k", "a whole number of at least 0 (0 keeps all)", topK);
  check(topP > 0 && topP <= 1, "top_p", "a number above 0 and at most 1", topP);
  check(minP >= 0 && minP <= 1, "min_p", "a number from 0 to 1", minP);
  check(Number.isInteger(maxTokens) && maxTokens >= 1, "max_tokens", "a whole number of at least 1", maxTokens);
  check(Number.isSafeInteger(seed) && seed >= 0, "seed", "a whole number of at least 0", seed);
  if (stop.includes("")) throw new ConfigError("stop: expected strings of at least one character, got an empty one");
}
