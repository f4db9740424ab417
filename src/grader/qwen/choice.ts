const TRIGGERS = /choice is|answer is/;

/** Python's str.strip with a set of characters. */
const strip = (text: string, characters: string): string => {
  let [start, end] = [0, text.length];
  while (start < end && characters.includes(text[start]!)) start++;
  while (end > start && characters.includes(text[end - 1]!)) end--;
  return text.slice(start, end);
};
const stripEnd = (text: string, character: string): string => {
  let end = text.length;
  while (end > 0 && text[end - 1] === character) end--;
  return text.slice(0, end);
};

/** Letters A to E that stand alone, in upper case. */
const letters = (text: string): string[] =>
  text.toUpperCase().match(/(?<![\p{L}\p{N}_])[A-E](?![\p{L}\p{N}_])/gu) ?? [];

const tidy = (text: string): string => {
  const trimmed = strip(stripEnd(stripEnd(strip(text, "\n"), "."), "/"), " ");
  return trimmed.replace(/^:+/, "");
};

/** The choice in a short answer: its last stand-alone letter A to E, or the answer itself. */
export function choiceOf(answer: string): string {
  const text = tidy(answer);
  const found = letters(text);
  const last = found.at(-1) ?? strip(text.trim(), ".");
  return stripEnd(stripEnd(last, "."), "/");
}

/** The choice in a whole response: the first letter after the last "answer is", or the last letter of all. */
export function choiceInResponse(response: string): string {
  let text = strip(response, "\n");
  const repeated = ["choice is", "answer is"].some((trigger) => text.split(trigger).length > 2);
  if (repeated) text = text.split("\n\n")[0]!;
  const parts = text.split(TRIGGERS);
  const triggered = parts.length > 1;
  text = tidy(triggered ? parts.at(-1)! : text);
  const found = letters(text);
  const chosen = (triggered ? found[0] : found.at(-1)) ?? strip(text.trim(), ".");
  return stripEnd(stripEnd(chosen, "."), "/");
}
