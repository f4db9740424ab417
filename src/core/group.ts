/** What a response came to: all that rewards and length statistics look at. */
export interface Outcome {
  /** Response tokens, the end-of-sequence token counted. */
  length: number;
  /** "stop": it ended by itself. "length": it was cut off, and counts as incorrect whatever it says. */
  finishReason: "stop" | "length";
  /** The verdict on its answer. */
  correct: boolean;
}

/** The n responses to one prompt: what length statistics and baselines are taken over. */
export type Group = readonly Outcome[];

/** A response that did not end by itself is incorrect (the paper, section 5.1: over the limit scores 0). */
export const isCorrect = ({ correct, finishReason }: Outcome): boolean => correct && finishReason === "stop";
