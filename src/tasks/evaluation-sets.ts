/**
 * What the paper evaluates on: the name of its task, and where the hub has it, as resolveDataFiles takes it (src/hf/hub.ts).
 * AIME's thirty problems of 2024 are that repository's only split.
 */
export const EVALUATION_SETS = {
  gsm8k: "openai/gsm8k/main:test",
  math500: "HuggingFaceH4/MATH-500:test",
  aime2024: "HuggingFaceH4/aime_2024:train",
} as const;

export type EvaluationName = keyof typeof EVALUATION_SETS;

/** The data set that a name stands for; any other name stands for itself: a file or a hub id. */
export const evaluationSource = (name: string): string =>
  Object.hasOwn(EVALUATION_SETS, name) ? EVALUATION_SETS[name as EvaluationName] : name;
