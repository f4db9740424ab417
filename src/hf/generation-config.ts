import type { Files } from "../runtime/types.ts";

/** The tokens that end a response: generation_config.json's `eos_token_id`, a number or a list, else `fallback`. */
export async function stopTokenIds(files: Files, dir: string, fallback: readonly number[]): Promise<number[]> {
  const path = `${dir}/generation_config.json`;
  if (!(await files.exists(path))) return [...fallback];
  const { eos_token_id: eos } = JSON.parse(await files.readText(path)) as { eos_token_id?: unknown };
  const ids = (Array.isArray(eos) ? eos : [eos]).filter((id): id is number => typeof id === "number");
  return ids.length > 0 ? ids : [...fallback];
}
