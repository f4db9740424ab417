import { z } from "zod";
import { FormatError } from "../errors.ts";
import { parseJson } from "../hf/json.ts";
import type { Files } from "../runtime/types.ts";

/** What pages are made of, as a folder holds it: the folder may be somebody else's, so nothing is taken for what its name says. */

const scores = z.looseObject({
  num_problems: z.number(),
  accuracy: z.number(),
  mean_length: z.number(),
  clipped_ratio: z.number(),
});

const evaluation = scores.extend({
  by_difficulty: z.record(z.string(), scores),
  completions: z.array(
    z.looseObject({
      problem_id: z.string(),
      difficulty: z.union([z.string(), z.number()]),
      prompt: z.string(),
      completion: z.string(),
      answer: z.string(),
      correct: z.boolean(),
      length: z.number(),
    }),
  ),
});

/** evaluation.json: the held-out problems before and after training. */
export const savedEvaluation = z.object({ before: evaluation, after: evaluation });

/** reproduce.json, as far as its rows go. */
export const savedReproduction = z.looseObject({
  rows: z.array(
    z.looseObject({
      method: z.string(),
      knob: z.string().nullable(),
      strength: z.number().nullable(),
      tokens: z.number(),
      tokensHalf: z.number(),
      accuracy: z.number(),
      accuracyHalf: z.number(),
      context: z.number(),
      seeds: z.number(),
    }),
  ),
});

/** @throws FormatError that names the file and what in it is not what it should be */
export async function readSaved<T extends z.ZodType>(files: Files, path: string, schema: T): Promise<z.output<T>> {
  const result = schema.safeParse(parseJson(await files.readText(path), path));
  if (result.success) return result.data;
  const { path: place, message } = result.error.issues[0]!;
  throw new FormatError(`${path}: ${place.join(".")}: ${message}; it is not what pith wrote`);
}
