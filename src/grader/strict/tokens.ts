/** A piece of an answer. Words are letters that are no product: in \text, or three in a row and more. */
export interface Token {
  kind: "number" | "letter" | "word" | "command" | "mark";
  text: string;
  /** Whether white space stands before it. */
  spaced: boolean;
}

/** A text that is no formula, or one that is nested too deeply. */
export class ReadError extends Error {}

/** Commands that only space, size or set a style. */
const INVISIBLE = new Set(
  (
    "left right middle checkmark therefore underline angle triangle measuredangle displaystyle textstyle limits nolimits big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr Biggl Biggr " +
    "mathbf boldsymbol bm bf mathit mathcal mathsf mathtt mathfrak it rm"
  )
    .split(" ")
    .map((name) => `\\${name}`),
);
const SPACES = new Set("\\quad \\qquad \\thinspace \\medspace \\thickspace \\, \\; \\: \\! \\enspace ~".split(" "));
const TEXT = /\\(?:text(?:normal|rm|bf|it|sf|tt|up|md)?|emph|mathrm|mbox|hbox|operatorname\*?)\s*\{/y;
/** Commands of other spellings. */
const SAME: Readonly<Record<string, string>> = {
  "\\dfrac": "\\frac",
  "\\tfrac": "\\frac",
  "\\cfrac": "\\frac",
  "\\dbinom": "\\binom",
  "\\tbinom": "\\binom",
  "\\cr": "\\\\",
  "\\ast": "*",
  "\\times": "*",
  "\\cdot": "*",
  "\\bullet": "*",
  "\\div": "/",
  "\\colon": ":",
  "\\lt": "<",
  "\\gt": ">",
  "\\le": "<=",
  "\\leq": "<=",
  "\\leqslant": "<=",
  "\\ngtr": "<=",
  "\\ge": ">=",
  "\\geq": ">=",
  "\\geqslant": ">=",
  "\\nless": ">=",
  "\\nle": ">",
  "\\nleq": ">",
  "\\nge": "<",
  "\\ngeq": "<",
  "\\neq": "!=",
  "\\ne": "!=",
  "\\doteq": "=",
  "\\approx": "\\approx",
  "\\sim": "\\approx",
  "\\lbrace": "\\{",
  "\\rbrace": "\\}",
  "\\lbrack": "[",
  "\\rbrack": "]",
  "\\langle": "(",
  "\\rangle": ")",
  "\\vert": "|",
  "\\lvert": "|",
  "\\rvert": "|",
  "\\mid": "|",
  "\\Vert": "\\|",
  "\\lVert": "\\|",
  "\\rVert": "\\|",
  "\\varnothing": "\\emptyset",
  "\\dots": "\\ldots",
  "\\cdots": "\\ldots",
  "\\dotsc": "\\ldots",
  "\\backslash": "\\setminus",
  "\\smallsetminus": "\\setminus",
  "\\lor": "or",
  "\\vee": "or",
  "\\land": "and",
  "\\wedge": "and",
  "\\lg": "\\log",
  "\\degree": "°",
  "\\%": "%",
  "\\$": "$",
  "\\ ": " ",
  "\\varphi": "\\phi",
  "\\varepsilon": "\\epsilon",
};

/** Words that are a function or a number. */
const FUNCTIONS =
  "sqrt sin cos tan cot sec csc sinh cosh tanh arcsin arccos arctan ln log exp cis abs pi infty alpha beta gamma theta lambda".split(
    " ",
  );
const NAMED: Readonly<Record<string, string>> = {
  ...Object.fromEntries(FUNCTIONS.map((name) => [name, `\\${name}`])),
  asin: "\\arcsin",
  acos: "\\arccos",
  atan: "\\arctan",
  infinity: "\\infty",
  inf: "\\infty",
  oo: "\\infty",
};
/** Words of two letters; all others are products. */
const SHORT = new Set(
  "or to no of in by am pm cm mm km dm nm kg mg lb oz ft yd mi ml cl hr yr sq is if at on".split(" "),
);

const PIECES = new RegExp(
  [
    String.raw`(\s+|~)`,
    String.raw`((?:\d+(?:\.\d+)?|\.\d+)[eE][-+]?\d{1,3}(?![\d.a-zA-Z]))`,
    String.raw`(\d+(?:\.\d+)?|\.\d+)`,
    String.raw`(\\[a-zA-Z]+\*?|\\[^a-zA-Z])`,
    String.raw`([a-zA-Z]+)`,
    String.raw`(<=|>=|!=|<>|==|[\s\S])`,
  ].join("|"),
  "gy",
);

const MOST_TOKENS = 1500;

/** Reads a text into tokens; throws ReadError where there are too many, or one that mathematics does not have. */
export function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  readInto(tokens, text, false, 0);
  return tokens;
}

function readInto(tokens: Token[], text: string, asText: boolean, depth: number): void {
  let spaced = asText;
  const push = (kind: Token["kind"], of: string) => {
    tokens.push({ kind, text: of, spaced });
    if (tokens.length > MOST_TOKENS) throw new ReadError("too long");
    spaced = false;
  };
  for (let at = 0; at < text.length;) {
    TEXT.lastIndex = at;
    const begun = TEXT.exec(text);
    if (begun) {
      if (depth > 8) throw new ReadError("nested too deeply");
      const end = closing(text, TEXT.lastIndex);
      readInto(tokens, text.slice(TEXT.lastIndex, end), true, depth + 1);
      at = end + 1;
      spaced = true;
      continue;
    }
    PIECES.lastIndex = at;
    const [whole, space, scientific, number, command, letters] = PIECES.exec(text)!;
    at = PIECES.lastIndex;
    if (space !== undefined) spaced = true;
    else if (scientific !== undefined) {
      const [digits, exponent] = scientific.split(/e/i) as [string, string];
      push("mark", "(");
      push("number", digits.startsWith(".") ? `0${digits}` : digits);
      push("mark", "*");
      push("number", "10");
      push("mark", "^");
      if (exponent.startsWith("-")) push("mark", "-");
      push("number", exponent.replace(/^[-+]/, ""));
      push("mark", ")");
    } else if (number !== undefined) push("number", number.startsWith(".") ? `0${number}` : number);
    else if (letters !== undefined) {
      // A letter of text behind a value is its unit; e and i are numbers in any type.
      const unit = asText && /^[^eid]$/.test(letters) && /^(?:\d.*|[)}])$/.test(tokens.at(-1)?.text ?? "");
      if (unit) push("word", letters);
      else pushLetters(letters, asText, push);
    } else if (command === undefined) push("mark", whole === "==" ? "=" : whole === "<>" ? "!=" : whole);
    else if (SPACES.has(command)) spaced = true;
    else if (!INVISIBLE.has(command) && !/^\\[()[\]]$/.test(command)) {
      const name = SAME[command] ?? command;
      if (name === " " || name === "$") spaced = true;
      else push(name.startsWith("\\") ? "command" : /^[a-z]/.test(name) ? "word" : "mark", name);
    }
  }
}

/** Where the brace closes that is open at `start`, or the text's end. */
function closing(text: string, start: number): number {
  let depth = 1;
  for (let i = start; i < text.length; i++) {
    if (text[i] === "\\") i++;
    else if (text[i] === "{") depth++;
    else if (text[i] === "}" && --depth === 0) return i;
  }
  return text.length;
}

function pushLetters(run: string, asText: boolean, push: (kind: Token["kind"], text: string) => void): void {
  const named = NAMED[run];
  const prefix = /^(arc(?:sin|cos|tan)|sin|cos|tan|ln|log|exp)([a-z])$/.exec(run);
  if (Object.hasOwn(NAMED, run)) push("command", named!);
  else if (prefix) {
    push("command", `\\${prefix[1]!}`);
    push("letter", prefix[2]!);
  } else if (run.length === 1) push("letter", run);
  else if (asText || run.length > 2 ? !alphabetical(run) || asText : SHORT.has(run.toLowerCase())) push("word", run);
  else for (const letter of run) push("letter", letter);
}

/** abc, xyz: the letters of a product. */
const alphabetical = (run: string): boolean =>
  run.length <= 4 && Array.from(run).every((c, i) => i === 0 || c.charCodeAt(0) === run.charCodeAt(i - 1) + 1);
