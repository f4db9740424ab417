import { isGrouped } from "./spelling.ts";
import type { Token } from "./tokens.ts";

/** Brackets that are seen; braces are not. */
const OPEN = new Set(["(", "[", "\\{"]);
const CLOSE = new Set([")", "]", "\\}"]);

/** Tokens within one pair of brackets, or outside all. */
interface Region {
  outermost: boolean;
  /** Whether a comma with space behind it, or a semicolon, separates things in it. */
  spaced: boolean;
  semicolons: boolean;
}

/**
 * Numbers whose commas stand between groups of three digits as one number: 1,234 is 1234 by itself; in brackets only where
 * other separators are told from them, as in (1,000, 2,000), for (1,234) is a pair. Beside semicolons other commas are decimal.
 */
export function joinGroups(tokens: readonly Token[]): Token[] {
  const regions = regionsOf(tokens);
  const result: Token[] = [];
  for (let at = 0; at < tokens.length;) {
    const end = runEnd(tokens, at);
    const digits = tokens
      .slice(at, end)
      .map((token) => token.text)
      .join("");
    const { outermost, spaced, semicolons } = regions[at]!;
    if (end - at >= 3 && isGrouped(digits) && (outermost || spaced)) {
      result.push({ ...tokens[at]!, text: digits.replaceAll(",", "") });
      at = end;
    } else if (end - at === 3 && semicolons) {
      result.push({ ...tokens[at]!, text: digits.replace(",", ".") });
      at = end;
    } else {
      result.push(...tokens.slice(at, end));
      at = end;
    }
  }
  return result;
}

/** Behind the numbers that commas alone join from `at` on. */
function runEnd(tokens: readonly Token[], at: number): number {
  let end = at + 1;
  const joins = (i: number) =>
    tokens[i]?.text === "," && !tokens[i]!.spaced && tokens[i + 1]?.kind === "number" && !tokens[i + 1]!.spaced;
  if (tokens[at]!.kind === "number") while (joins(end)) end += 2;
  return end;
}

/** Each token's region. */
function regionsOf(tokens: readonly Token[]): Region[] {
  const stack: Region[] = [{ outermost: true, spaced: false, semicolons: false }];
  return tokens.map((token, i) => {
    if (CLOSE.has(token.text) && stack.length > 1) stack.pop();
    const region = stack.at(-1)!;
    if (token.text === ";") region.spaced = region.semicolons = true;
    else if (token.text === "," && tokens[i + 1]?.spaced) region.spaced = true;
    if (OPEN.has(token.text)) stack.push({ outermost: false, spaced: false, semicolons: false });
    return region;
  });
}
