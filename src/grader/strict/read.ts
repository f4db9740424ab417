import { call, number, symbol, type Expression } from "../formula/expression.ts";
import { Reader } from "./reader.ts";
import { joinGroups } from "./thousands.ts";
import { ReadError, tokenize } from "./tokens.ts";
import { withoutNumberWords } from "./words.ts";

/**
 * What an answer, tidied already, says as a whole, null where it is no mathematics. Beside formulas it may be, as a call: "list", "and", "or" of
 * answers; "()", "[)" and so on of a tuple or an interval; "set"; "builder"; "union", "intersection", "setminus"; "matrix" of
 * "row"s; "ratio"; "percent"; "pm" and "mp"; "mod"; "based" of digits and base; "measured" of value, unit and its two factors;
 * "chain" of relations. Words are one symbol, in quotation marks.
 */
export function readTidied(text: string): Expression | null {
  if (text === "") return null;
  try {
    return based(text) ?? new Reader(joinGroups(withoutNumberWords(tokenize(text)))).whole();
  } catch (error) {
    if (error instanceof ReadError) return null;
    throw error;
  }
}

/** Digits with a base: 1011_2. */
function based(text: string): Expression | null {
  const [, digits, base] =
    /^\(?(?:\\(?:text|mathrm)\s*\{\s*)?(-?[0-9A-Fa-f]+(?:\.[0-9A-Fa-f]+)?)\s*\}?\)?\s*_\s*\{?\s*(?:\\text\s*\{)?\s*(\d{1,2}|two|three|eight|ten|sixteen)\s*\}*$/.exec(
      text,
    ) ?? [];
  const radix = { two: 2, three: 3, eight: 8, ten: 10, sixteen: 16 }[base ?? ""] ?? Number(base);
  if (digits === undefined || !/\d|../.test(digits) || radix < 2) return null;
  const fits = Array.from(digits.replaceAll(/[-.]/g, ""), (digit) => Number.parseInt(digit, 16)).every(
    (digit) => digit < radix,
  );
  return fits ? call("based", symbol(digits.toUpperCase().replace(/^0+(?=.)/, "")), number(radix)) : null;
}
