/** A piece of a text. */
export interface Piece {
  start: number;
  end: number;
  content: string;
}

const DELIMITERS = [
  ["$$", "$$"],
  ["$", "$"],
  ["\\(", "\\)"],
  ["\\[", "\\]"],
] as const;

/** Formulas between dollar signs, double ones or brackets. Dollar signs with prose between them, or figures, are money. */
export function formulasIn(text: string): Piece[] {
  const found: Piece[] = [];
  for (let at = 0; at < text.length;) {
    const piece = formulaAt(text, at);
    if (piece) {
      found.push(piece);
      at = piece.end;
    } else at += text[at] === "\\" ? 2 : 1;
  }
  return found;
}

function formulaAt(text: string, start: number): Piece | null {
  for (const [open, close] of DELIMITERS) {
    if (!text.startsWith(open, start)) continue;
    const end = closingOf(text, start + open.length, close);
    if (end < 0) continue;
    const content = text.slice(start + open.length, end);
    if (content.trim() === "" || (open === "$" && isMoney(content, text[end + 1]))) continue;
    return { start, end: end + close.length, content: content.trim() };
  }
  return null;
}

/** The next closing delimiter that no backslash stands before. */
function closingOf(text: string, from: number, close: string): number {
  for (let at = from; at < text.length; at++) {
    if (text.startsWith(close, at)) return at;
    if (text[at] === "\\") at++;
  }
  return -1;
}

/** Whether what stands between two dollar signs is prose with sums of money, or a sum before another. */
function isMoney(content: string, next: string | undefined): boolean {
  const bare = content.replaceAll(
    /\\(?:text\w*|mathrm|mbox|operatorname)\s*\{[^{}]*\}|\\[a-zA-Z]+|\b(?:and|or)\b/g,
    " ",
  );
  if (/^\d/.test(content) && /\d/.test(next ?? "")) return true;
  return /^\s*\d/.test(content) && /[a-zA-Z]{2,}\s|\s[a-zA-Z]{2,}/.test(bare);
}

/** The text with its formulas blotted out, at the same length. */
export function masked(text: string): string {
  let result = text;
  for (const { start, end } of formulasIn(text))
    result = `${result.slice(0, start)}${"\u25a0".repeat(end - start)}${result.slice(end)}`;
  return result;
}
