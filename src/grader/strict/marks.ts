/** Relations by what they are written with. */
export const RELATIONS: Readonly<Record<string, string>> = {
  "=": "=",
  "<": "<",
  ">": ">",
  "<=": "<=",
  ">=": ">=",
  "!=": "!=",
  "\\approx": "=",
  "\\in": "in",
  "\\notin": "notin",
  "\\equiv": "mod",
};
export const SET_OPERATIONS: Readonly<Record<string, string>> = {
  "\\cup": "union",
  "\\cap": "intersection",
  "\\setminus": "setminus",
};
export const MODULI = new Set(["mod", "\\pmod", "\\bmod", "\\mod"]);
export const CLOSING: Readonly<Record<string, readonly string[]>> = {
  "(": [")", "]"],
  "[": ["]", ")"],
  "{": ["}"],
  "\\{": ["\\}"],
};
const SEPARATORS = new Set([",", ";", "and", "or"]);
/** Signs of money, before a number or behind it. */
export const CURRENCIES = new Set(["$", "€", "£", "¥", "₹"]);
/** Marks and commands that end a value wherever they stand. */
export const ENDS = new Set([
  ...SEPARATORS,
  ")",
  "]",
  "}",
  "\\}",
  "\\\\",
  "&",
  "\\end",
  ...MODULI,
  "\\rfloor",
  "\\rceil",
  "%",
]);

export const isSeparator = (text: string): boolean => SEPARATORS.has(text);
