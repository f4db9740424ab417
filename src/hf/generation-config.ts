import { FormatError } from "../errors.ts";
import type { Files } from "../runtime/types.ts";
import { brief, readJsonObject } from "./json.ts";
import type { Tokenizer } from "./tokenizer.ts";

/**
 * The tokens that end a response, the one that a demonstration is to end with first: generation_config.json's `eos_token_id`, a
 * number or a list, else config.json's, else the tokenizer's eos_token. The tokenizer's own is the first of several, for that is
 * how a turn ends (Llama 3.1's list begins with another). Empty where nothing ends a response.
 */
export async function stopTokenIds(
  files: Files,
  dir: string,
  { eosTokenIds, vocabSize }: { eosTokenIds: readonly number[]; vocabSize: number },
  tokenizer: Pick<Tokenizer, "eosTokenId"> | null,
): Promise<number[]> {
  const path = `${dir}/generation_config.json`;
  const eos = (await files.exists(path)) ? ((await readJsonObject(files, path))["eos_token_id"] ?? []) : [];
  const listed: unknown[] = Array.isArray(eos) ? eos : [eos];
  if (!listed.every((id): id is number => Number.isSafeInteger(id) && (id as number) >= 0))
    throw new FormatError(`${path}: expected eos_token_id to be a token id or a list of them, got ${brief(eos)}`);
  const own = tokenizer?.eosTokenId;
  const ids = [listed, eosTokenIds, own === undefined ? [] : [own]].find(({ length }) => length > 0) ?? [];
  const outside = ids.find((id) => id >= vocabSize);
  if (outside !== undefined)
    throw new FormatError(
      `${dir}: expected stop tokens below vocab_size ${vocabSize}, got ${outside}; tokenizer and model do not belong together`,
    );
  return [...new Set(own !== undefined && ids.includes(own) ? [own, ...ids] : ids)];
}
