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

/** Without the marks of Markdown around it. */
export const withoutEmphasis = (text: string): string => text.replace(/^[\s*_`]+/, "").replace(/[\s*_`]+$/, "");
