import { FormatError } from "../errors.ts";
import type { Files } from "../runtime/types.ts";
import { readJsonObject } from "./json.ts";

/** The tokens that end a response: generation_config.json's `eos_token_id`, a number or a list, else `fallback`. */
export async function stopTokenIds(files: Files, dir: string, fallback: readonly number[]): Promise<number[]> {
  const path = `${dir}/generation_config.json`;
  if (!(await files.exists(path))) return [...fallback];
  const eos = (await readJsonObject(files, path))["eos_token_id"] ?? [];
  const ids: unknown[] = Array.isArray(eos) ? eos : [eos];
  if (!ids.every((id): id is number => Number.isSafeInteger(id) && (id as number) >= 0))
    throw new FormatError(
      `${path}: expected eos_token_id to be a token id or a list of them, got ${JSON.stringify(eos)}`,
    );
  return ids.length > 0 ? [...new Set(ids)] : [...fallback];
}
