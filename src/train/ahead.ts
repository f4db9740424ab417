import { z } from "zod";
import type { RequestOutput } from "../engine/llm.ts";
import { FormatError } from "../errors.ts";
import type { Files } from "../runtime/types.ts";
import { f32Number } from "./rollouts.ts";

/**
 * What the next iteration trains on, where rl.lag has it drawn before a checkpoint: the weights that drew it are gone by then. JSON
 * lines, a request each. The reference scores it again: its file is the same whoever drew.
 */
const rowSchema = z.object({
  prompt_id: z.int().min(0),
  prompt_token_ids: z.array(z.int().min(0)).min(1),
  outputs: z
    .array(
      z
        .object({
          index: z.int().min(0),
          token_ids: z.array(z.int().min(0)).min(1),
          logprobs: z.array(z.number()),
          finish_reason: z.enum(["stop", "length"]),
        })
        .refine(({ token_ids, logprobs }) => token_ids.length === logprobs.length, "a log-probability for each token"),
    )
    .min(1),
});

export async function writeAhead(files: Files, path: string, drawn: readonly RequestOutput[]): Promise<void> {
  await files.write(path, "");
  for (const { promptId, promptTokenIds, outputs } of drawn) {
    const row: z.infer<typeof rowSchema> = {
      prompt_id: promptId,
      prompt_token_ids: [...promptTokenIds],
      outputs: outputs.map(({ index, tokenIds, logprobs, finishReason }) => ({
        index,
        token_ids: tokenIds,
        logprobs: logprobs.map(f32Number),
        finish_reason: finishReason,
      })),
    };
    await files.append(path, `${JSON.stringify(row)}\n`);
  }
}

/** @throws FormatError where the file is not as it was written */
export async function readAhead(files: Files, path: string): Promise<RequestOutput[]> {
  const lines = (await files.readText(path)).split("\n").filter((line) => line !== "");
  return lines.map((line, i) => {
    const row = rowSchema.safeParse(jsonOrNull(line));
    if (!row.success) {
      throw new FormatError(
        `${path}, line ${i + 1}: expected a request and what was drawn for it, got ${line.slice(0, 40)} (${row.error.issues[0]!.message}); resume from another checkpoint`,
      );
    }
    const { prompt_id: promptId, prompt_token_ids: promptTokenIds, outputs } = row.data;
    return {
      promptId,
      promptTokenIds,
      outputs: outputs.map(({ index, token_ids: tokenIds, logprobs, finish_reason: finishReason }) => ({
        index,
        tokenIds,
        logprobs: logprobs.map(Math.fround),
        finishReason,
      })),
    };
  });
}

function jsonOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
