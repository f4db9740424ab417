import { boxesFromEnd } from "./boxes.ts";

const GSM8K = "####";

/**
 * The answer that a text marks as its own: what is in the last \boxed{} that holds something, or after the last "####"; "" if
 * there is neither, or if the last box is never closed.
 */
export function markedAnswer(text: string): string {
  for (const box of boxesFromEnd(text)) return box?.content ?? "";
  const marked = text.lastIndexOf(GSM8K);
  if (marked < 0) return "";
  const line = text.slice(marked + GSM8K.length).split("\n", 1)[0]!;
  return withoutEmphasis(line);
}

const isEmphasis = (character: string): boolean => "*_`".includes(character) || character.trim() === "";

/** Without the marks of Markdown around it. In time by its length, whatever it is. */
export function withoutEmphasis(text: string): string {
  let [start, end] = [0, text.length];
  while (start < end && isEmphasis(text[start]!)) start++;
  while (end > start && isEmphasis(text[end - 1]!)) end--;
  return text.slice(start, end);
}
