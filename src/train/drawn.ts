import type { Completion, RequestOutput } from "../engine/llm.ts";

/** A completion, and the reference's log-probabilities of its tokens where whoever drew it took them. */
export interface DrawnCompletion extends Completion {
  refLogprobs?: number[];
}

/** What was drawn for a request. */
export interface DrawnOutput extends RequestOutput {
  outputs: DrawnCompletion[];
}
