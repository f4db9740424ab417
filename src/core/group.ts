/** One sampled response, judged. */
export interface Completion {
  /** Response tokens, the end-of-sequence token counted. */
  length: number;
  /** "stop": it ended by itself. "length": it was cut off, and counts as incorrect whatever it says. */
  finishReason: "stop" | "length";
  /** The verdict on its answer. */
  correct: boolean;
}

/** The n responses to one prompt: what length statistics and baselines are taken over. */
export type Group = readonly Completion[];

/** A response that did not end by itself is incorrect (the paper, section 5.1: over the limit scores 0). */
export const isCorrect = ({ correct, finishReason }: Completion): boolean => correct && finishReason === "stop";
