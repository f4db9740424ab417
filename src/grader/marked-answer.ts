const BOXED = "\\boxed";
const GSM8K = "####";

/** The answer that a text marks as its own: what is in the last \boxed{}, or after the last "####"; "" if there is neither. */
export function markedAnswer(text: string): string {
  const boxed = text.lastIndexOf(BOXED);
  if (boxed >= 0) return bracedAt(text, boxed + BOXED.length);
  const marked = text.lastIndexOf(GSM8K);
  if (marked < 0) return "";
  const rest = text.slice(marked + GSM8K.length);
  return rest.split("\n", 1)[0]!.trim();
}

/** The text in the braces that open at `start`, or the one token there: \boxed 5. An unclosed brace holds no answer. */
function bracedAt(text: string, start: number): string {
  let at = start;
  while (text[at] === " ") at++;
  if (text[at] !== "{") return /^[^\s$.,]+/.exec(text.slice(at, at + 100))?.[0] ?? "";
  let depth = 0;
  for (let i = at; i < text.length; i++) {
    if (text[i] === "{") depth++;
    else if (text[i] === "}" && --depth === 0) return text.slice(at + 1, i).trim();
  }
  return "";
}
