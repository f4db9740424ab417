import { FormatError } from "../errors.ts";
import type { Files } from "../runtime/types.ts";

/** Digits that a double holds, whatever they are. */
const EXACT_DIGITS = 15;

/**
 * JSON as it stands. A number of more digits than a double holds becomes the text of its digits: nothing is rounded in silence.
 *
 * @throws FormatError that begins with `where`
 */
export function parseJson(text: string, where: string): unknown {
  const exact = (_key: string, value: unknown, context?: { source?: string }): unknown => {
    const source = context?.source;
    if (typeof value !== "number" || source === undefined) return value;
    const digits = source.replace(/e.*$/i, "").replaceAll(/^-?0*\.?0*|\./g, "");
    return digits.length > EXACT_DIGITS && String(value) !== source ? source : value;
  };
  try {
    // The reviver walks the whole value: where no number is long it is not needed.
    return /\d{9}/.test(text.replaceAll(".", "")) ? JSON.parse(text, exact) : JSON.parse(text);
  } catch (error) {
    const python = /\bNaN\b|\bInfinity\b/.test(text)
      ? "; NaN and Infinity, as Python writes them, are not JSON: write null or a text"
      : "";
    const why = error instanceof RangeError ? "it is nested too deeply" : oneLine((error as Error).message);
    throw new FormatError(`${where}: expected JSON: ${why}${python}`, { cause: error });
  }
}

/** `text` without what would break a line or steer a terminal. */
export const oneLine = (text: string): string => text.replaceAll(/[\p{Cc}\u2028\u2029]+/gu, " ");

/** A value as a message shows it, however long and deep it is. */
export function brief(value: unknown): string {
  try {
    return (JSON.stringify(value) ?? String(value)).slice(0, 80);
  } catch {
    return "a value nested too deeply"; // to be written as a text, which is what this is for
  }
}

/** A file that holds one JSON object, as all of Hugging Face's settings files do. */
export async function readJsonObject(files: Files, path: string): Promise<Record<string, unknown>> {
  const value = parseJson(await files.readText(path), path);
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new FormatError(`${path}: expected a JSON object, got ${brief(value)}`);
  return value as Record<string, unknown>;
}
