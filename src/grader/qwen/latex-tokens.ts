/** How a text is read: as sympy's parser of LaTeX does, or as the lenient one that upstream tries next. */
export type Style = "strict" | "lenient";

/** A text that cannot be read from its beginning. */
export class LatexError extends Error {}

export interface Token {
  kind: "number" | "letter" | "command" | "mark" | "unknown";
  text: string;
  start: number;
  end: number;
}

/** Commands that only space or size. */
const INVISIBLE = new Set(
  "\\, \\; \\: \\! \\quad \\qquad \\left \\right \\thinspace \\medspace \\thickspace \\limits \\displaystyle \\big \\Big \\bigg \\Bigg \\bigl \\bigr".split(
    " ",
  ),
);
const LONGEST = 5000;

/** Escapes that sympy's lexer skips as well. */
const IGNORED = new Set(["\\*", "\\-", "\\.", "\\/", '\\"', "\\(", "\\=", "\\negthinspace"]);
/** Marks and escapes that sympy's lexer knows; anything else makes it give up where it looks at it. */
const KNOWN_MARK = /^[-+*/(){}[\]|_^:!=<>',.]$/;
const LINE_BREAK = "\\\\";
const KNOWN_ESCAPE = /^\\[{}]$/;

/** Of a number with commas sympy takes groups of three digits behind a first one of any length, and leaves what is over. */
const PIECES = /(\s+|~)|(\d+(?:,\d{3})*(?:\.\d+)?|\.\d+)|(\\[a-zA-Z]+|\\[^a-zA-Z\s])|([a-zA-Z]'*)|([<>]=|[\s\S])/gy;
const DIFFERENTIAL = /d\s*(?:[a-zA-Z]|\\[a-zA-Z]+)/y;

export function tokenize(text: string, style: Style): Token[] {
  if (text.length > LONGEST) throw new LatexError("too long");
  const tokens: Token[] = [];
  for (let at = 0; at < text.length; at = PIECES.lastIndex) {
    PIECES.lastIndex = at;
    const [whole, space, digits, command, letter] = PIECES.exec(text)!;
    if (
      (space !== undefined && !(style === "strict" && whole === "~")) ||
      (command && (INVISIBLE.has(command) || IGNORED.has(command)))
    )
      continue;
    const token: Token = { kind: "mark", text: whole, start: at, end: at + whole.length };
    if (digits) {
      token.kind = "number";
      const before = tokens.at(-1);
      // Digits with only space between them are one number.
      const apart = before && text.slice(before.end, at);
      if (
        before?.kind === "number" &&
        apart !== "" &&
        !digits.startsWith(".") &&
        !(before.text.includes(".") && digits.includes("."))
      ) {
        before.text += digits;
        before.end = token.end;
        continue;
      }
    } else if (letter) {
      token.kind = "letter";
      DIFFERENTIAL.lastIndex = at;
      const differential = DIFFERENTIAL.exec(text)?.[0];
      if (differential) {
        token.text = differential;
        token.end = PIECES.lastIndex = at + differential.length;
      }
    } else if (command) {
      const known = /^\\[a-zA-Z]/.test(command) || KNOWN_ESCAPE.test(command);
      token.kind = known || (style === "lenient" && command === LINE_BREAK) ? "command" : "unknown";
    } else if (!KNOWN_MARK.test(whole) && !(style === "lenient" && whole.length === 2)) token.kind = "unknown";
    tokens.push(token);
  }
  return style === "strict" ? tokens.flatMap((token, i) => dotted(token, tokens[i + 1])) : tokens;
}

/**
 * What sympy reads of a number that a point follows but no digits, 25.Therefore: each digit by itself, and nothing from the
 * last one on. Of a single digit it reads nothing.
 */
function dotted(token: Token, next: Token | undefined): Token[] {
  if (next?.text !== "." || token.kind !== "number" || !/^\d+$/.test(token.text)) return [token];
  if (token.text.length === 1) return [{ ...token, kind: "unknown" }];
  const digits = Array.from(token.text, (text): Token => ({ ...token, text }));
  return [...digits.slice(0, -1), { ...token, kind: "mark", text: "." }];
}
