import { FormatError } from "../errors.ts";
import type { Files } from "../runtime/types.ts";

/** A file that holds one JSON object, as all of Hugging Face's settings files do. */
export async function readJsonObject(files: Files, path: string): Promise<Record<string, unknown>> {
  const text = await files.readText(path);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new FormatError(`${path}: expected JSON: ${(error as Error).message}`, { cause: error });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new FormatError(`${path}: expected a JSON object, got ${JSON.stringify(value).slice(0, 80)}`);
  return value as Record<string, unknown>;
}
