/** Python's str.strip: its white space has the separators U+001C to U+001F and U+0085, and not U+FEFF. */
export function strip(text: string): string {
  let [start, end] = [0, text.length];
  while (start < end && isSpace(text[start]!)) start++;
  while (end > start && isSpace(text[end - 1]!)) end--;
  return text.slice(start, end);
}

const isSpace = (character: string): boolean =>
  "\u001c\u001d\u001e\u001f\u0085".includes(character) || (character !== "\ufeff" && character.trim() === "");
