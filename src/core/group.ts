/** What a response came to: all that rewards and length statistics look at. */
export interface Outcome {
  /** Response tokens, the end-of-sequence token counted. */
  length: number;
  /** "stop": it ended by itself. "length": it was cut off, and counts as incorrect whatever it says. */
  finishReason: "stop" | "length";
  /** The verdict on its answer. */
  correct: boolean;
  /** How good the answer is, 0 to 1, where the task grades; without it 1 for a correct response and 0 for another. */
  score?: number;
}

/** The n responses to one prompt: what length statistics and baselines are taken over. */
export type Group = readonly Outcome[];

/** A response that did not end by itself is incorrect (the paper, section 5.1: over the limit scores 0). */
export const isCorrect = ({ correct, finishReason }: Outcome): boolean => correct && finishReason === "stop";

/** c in the formulas: the score, 0 for a response that was cut off. */
export const scoreOf = ({ correct, finishReason, score = Number(correct) }: Outcome): number =>
  finishReason === "stop" ? score : 0;
