import {
  add,
  call,
  divide,
  isConstant,
  multiply,
  negate,
  number,
  numeral,
  power,
  subtract,
  substitute,
  symbol,
  symbolsOf,
  type Expression,
} from "./expression.ts";

/** How a text is read: as the paper's parser does, or as mathematics means it. */
export interface LatexStyle {
  /** As sympy reads: "dx" is one symbol; `strict`, a character that it does not know ends all reading, and 05 is no number. */
  sympy: "strict" | "lenient" | false;
  /** A letter or Greek letter directly before "(" is a function applied. */
  applyLetters: boolean;
  /** 1\frac{3}{8} is 11/8, not 3/8. */
  mixedNumbers: boolean;
  /** Spelled-out functions, sqrt(2) and pi without a backslash. */
  words: boolean;
}

/** A text that cannot be read from its beginning. */
export class LatexError extends Error {}

/** A formula that reads well but means nothing to sympy: no shorter beginning is tried for it. */
class MeaningError extends LatexError {}

interface Token {
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
const FUNCTIONS: Readonly<Record<string, string>> = Object.fromEntries(
  "sin cos tan csc sec cot arcsin arccos arctan sinh cosh tanh exp".split(" ").map((name) => [`\\${name}`, name]),
);
const RELATIONS: Readonly<Record<string, string>> = {
  "=": "=",
  "<": "<",
  ">": ">",
  "\\lt": "<",
  "\\gt": ">",
  "<=": "<=",
  ">=": ">=",
  "\\le": "<=",
  "\\leq": "<=",
  "\\leqslant": "<=",
  "\\ge": ">=",
  "\\geq": ">=",
  "\\geqslant": ">=",
  "\\ne": "!=",
  "\\neq": "!=",
};
const TIMES = new Set(["*", "\\cdot", "\\times"]);
const OVER = new Set(["/", "\\div", ":"]);
/** Commands that never begin a factor. */
const ENDS = new Set(
  "\\rfloor \\rceil \\rangle \\} \\to \\rightarrow \\Rightarrow \\longrightarrow \\Longrightarrow".split(" "),
);
const CLOSING: Readonly<Record<string, string>> = { "(": ")", "[": "]", "{": "}", "\\{": "\\}" };

/** Nesting that is followed; deeper text is refused rather than exhausting the stack. */
const DEEPEST = 60;
const LONGEST = 5000;
/** Atoms that are read, those of beginnings given up included. */
const MOST_STEPS = 20_000;

/** Escapes that sympy's lexer skips as well. */
const IGNORED = new Set(["\\*", "\\-", "\\.", "\\/", '\\"', "\\(", "\\=", "\\negthinspace"]);
/** Marks and escapes that sympy's lexer knows; anything else makes it give up where it looks at it. */
const KNOWN_MARK = /^[-+*/(){}[\]|_^:!=<>',.]$/;
const LINE_BREAK = "\\\\";
const KNOWN_ESCAPE = /^\\[{}]$/;

/** Numbers with commas between groups of three digits; sympy takes the first group of any length, and leaves what is over. */
const NUMBER = String.raw`(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+`;
const SYMPY_NUMBER = String.raw`\d+(?:,\d{3})*(?:\.\d+)?|\.\d+`;
const pattern = (number: string): RegExp =>
  new RegExp(String.raw`(\s+|~)|(${number})|(\\[a-zA-Z]+|\\[^a-zA-Z\s])|([a-zA-Z]'*)|([<>]=|[\s\S])`, "gy");
const PATTERN = pattern(NUMBER);
const SYMPY_PATTERN = pattern(SYMPY_NUMBER);
const DIFFERENTIAL = /d\s*(?:[a-zA-Z]|\\[a-zA-Z]+)/y;

function tokenize(text: string, { sympy }: LatexStyle): Token[] {
  if (text.length > LONGEST) throw new LatexError("too long");
  const tokens: Token[] = [];
  const pieces = sympy ? SYMPY_PATTERN : PATTERN;
  for (let at = 0; at < text.length; at = pieces.lastIndex) {
    pieces.lastIndex = at;
    const [whole, space, digits, command, letter] = pieces.exec(text)!;
    if (
      (space !== undefined && !(sympy === "strict" && whole === "~")) ||
      (command && (INVISIBLE.has(command) || (sympy && IGNORED.has(command))))
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
      const differential = sympy ? DIFFERENTIAL.exec(text)?.[0] : undefined;
      if (differential) {
        token.text = differential;
        token.end = pieces.lastIndex = at + differential.length;
      }
    } else if (command) {
      const known = /^\\[a-zA-Z]/.test(command) || KNOWN_ESCAPE.test(command);
      token.kind = !sympy || known || (sympy === "lenient" && command === LINE_BREAK) ? "command" : "unknown";
    } else if (sympy && !KNOWN_MARK.test(whole) && !(sympy === "lenient" && whole.length === 2)) token.kind = "unknown";
    tokens.push(token);
  }
  return sympy === "strict" ? tokens.flatMap((token, i) => dotted(token, tokens[i + 1])) : tokens;
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

/**
 * The longest beginning of `text` that is a formula, and how many characters it took. Throws LatexError if not even the first
 * token begins one. Evaluates nothing.
 */
export function parseLatex(text: string, style: LatexStyle): { expression: Expression; end: number } {
  return new Parser(tokenize(text, style), text, style).parse();
}

class Parser {
  readonly #tokens: readonly Token[];
  readonly #text: string;
  readonly #style: LatexStyle;
  #at = 0;
  #depth = 0;
  #steps = 0;
  /** Digits of the present number that are taken already. */
  #taken = 0;
  readonly #failed = new Set<string>();

  constructor(tokens: readonly Token[], text: string, style: LatexStyle) {
    this.#tokens = tokens;
    this.#text = text;
    this.#style = style;
  }

  parse(): { expression: Expression; end: number } {
    const expression = this.#relation();
    if (this.#tokens[this.#at]?.kind === "unknown") throw new LatexError("an unknown character");
    return { expression, end: this.#at === 0 ? 0 : this.#tokens[this.#at - 1]!.end };
  }

  #peek(): string {
    return this.#tokens[this.#at]?.text ?? "";
  }

  #take(text: string): boolean {
    if (this.#peek() !== text) return false;
    this.#at++;
    return true;
  }

  #expect(text: string): void {
    if (!this.#take(text)) throw new LatexError(`expected ${text}`);
  }

  /**
   * What follows an operator, or null, with the operator given back: the longest beginning ends before it. What failed once
   * at a place is not tried there again.
   */
  #attempt<T>(kind: "term" | "factor" | "exponent" | "arguments", part: () => T): T | null {
    const before = { at: this.#at, taken: this.#taken, depth: this.#depth, bars: this.#inBars };
    const place = `${kind} ${before.at} ${before.bars}`;
    if (this.#failed.has(place)) return null;
    try {
      return part();
    } catch (error) {
      if (!(error instanceof LatexError) || error instanceof MeaningError) throw error;
      this.#failed.add(place);
      this.#at = before.at;
      this.#taken = before.taken;
      this.#depth = before.depth;
      this.#inBars = before.bars;
      return null;
    }
  }

  #after<T>(part: () => T): T {
    this.#at++;
    return part();
  }

  #nested<T>(part: () => T): T {
    if (++this.#depth > DEEPEST) throw new LatexError("nested too deeply");
    const result = part();
    this.#depth--;
    return result;
  }

  #relation(): Expression {
    const left = this.#sum();
    let whole = left;
    for (;;) {
      const operator = RELATIONS[this.#peek()];
      if (operator === undefined) return whole;
      this.#at++;
      const right = this.#sum();
      const chained = whole.kind === "relation";
      if (chained && (!this.#style.sympy || operator !== "=")) throw new MeaningError("a chain of relations");
      whole = { kind: "relation", operator, left: whole, right };
    }
  }

  #sum(): Expression {
    return this.#nested(() => {
      let sum = this.#product();
      for (;;) {
        const sign = this.#peek();
        if (sign !== "+" && sign !== "-") return sum;
        const term = this.#attempt("term", () => this.#after(() => this.#product()));
        if (term === null) return sum;
        sum = sign === "+" ? add(sum, term) : subtract(sum, term);
      }
    });
  }

  #product(): Expression {
    let product = this.#signed();
    for (;;) {
      const operator = this.#peek();
      const isTimes = TIMES.has(operator);
      if (!isTimes && !OVER.has(operator)) return product;
      const factor = this.#attempt("factor", () => this.#after(() => this.#signed()));
      if (factor === null) return product;
      product = isTimes ? multiply(product, factor) : divide(product, factor);
    }
  }

  #signed(): Expression {
    if (this.#take("-")) return negate(this.#nested(() => this.#signed()));
    if (this.#take("+")) return this.#nested(() => this.#signed());
    return this.#juxtaposed(true);
  }

  /** Factors side by side; a function's argument without brackets stops before the next function. */
  #juxtaposed(functions: boolean): Expression {
    const factors = [this.#postfix()];
    while (this.#at < this.#tokens.length) {
      const { kind, text } = this.#tokens[this.#at]!;
      const begins =
        kind === "number" ||
        kind === "letter" ||
        (kind === "command" && this.#beginsFactor(text)) ||
        Object.hasOwn(CLOSING, text) ||
        (text === "|" && this.#barOpens);
      if (!begins || (!functions && this.#isFunction(text))) break;
      const before = this.#at;
      const factor = this.#attempt("factor", () => this.#postfix());
      if (factor === null) break;
      factors.push(this.#mixed(before, factors.at(-1)!, factor) ? add(factors.pop()!, factor) : factor);
    }
    if (this.#style.sympy && factors.length > 2) {
      // 3x10^5: an x that stands between constants multiplies them.
      const constant = (i: number) => factors[i] !== undefined && isConstant(factors[i]);
      const cross = (factor: Expression, i: number) =>
        factor.kind === "symbol" && factor.name === "x" && constant(i - 1) && constant(i + 1);
      return multiply(...factors.filter((factor, i) => !cross(factor, i)));
    }
    return factors.length === 1 ? factors[0]! : multiply(...factors);
  }

  /** Whether a whole number stands directly before a fraction of numbers. */
  #mixed(at: number, whole: Expression, fraction: Expression): boolean {
    return (
      this.#style.mixedNumbers &&
      this.#tokens[at]!.text === "\\frac" &&
      whole.kind === "number" &&
      Number.isInteger(whole.value) &&
      fraction.kind === "multiply" &&
      fraction.terms[0]!.kind === "number"
    );
  }

  get #barOpens(): boolean {
    return !this.#inBars;
  }
  #inBars = false;

  #isFunction(text: string): boolean {
    return Object.hasOwn(FUNCTIONS, text) || text === "\\ln" || text === "\\log" || text === "\\lg";
  }

  #beginsFactor(command: string): boolean {
    return (
      !TIMES.has(command) &&
      !OVER.has(command) &&
      RELATIONS[command] === undefined &&
      /^\\[a-zA-Z{]/.test(command) &&
      !ENDS.has(command) &&
      (this.#style.sympy === "strict" || command !== "\\end")
    );
  }

  #postfix(): Expression {
    let base = this.#atom();
    for (;;) {
      const mark = this.#peek();
      if (mark === "!") {
        this.#at++;
        base = call("factorial", base);
      } else if (mark === "^") {
        const exponent = this.#attempt("exponent", () => this.#after(() => this.#script()));
        if (exponent === null) return base;
        base = power(base, exponent);
      } else return base;
    }
  }

  /** What stands high or low: a group, or one atom. */
  #script(): Expression {
    if (this.#peek() === "{") return this.#group();
    if (this.#take("-")) return negate(this.#atom());
    return this.#atom();
  }

  #group(): Expression {
    const close = CLOSING[this.#peek()]!;
    this.#at++;
    const bars = this.#inBars;
    this.#inBars = false;
    const inner = this.#nested(() => (this.#style.sympy ? this.#sum() : this.#relation()));
    this.#inBars = bars;
    this.#expect(close);
    return inner;
  }

  #braced(): Expression {
    if (this.#peek() !== "{") throw new LatexError("expected {");
    return this.#group();
  }

  #atom(): Expression {
    const token = this.#tokens[this.#at];
    if (++this.#steps > MOST_STEPS) throw new MeaningError("too much to try");
    if (!token) throw new LatexError("expected more");
    if (token.kind === "unknown") throw new MeaningError("an unknown character");
    if (token.kind === "number") {
      const text = token.text.slice(this.#taken).replaceAll(",", "");
      this.#skipNumber();
      if (this.#style.sympy === "strict" && /^0\d*[1-9]\d*$/.test(text))
        throw new MeaningError("a number with leading zeros");
      return numeral(text);
    }
    if (token.kind === "letter") return this.#letters(token);
    if (Object.hasOwn(CLOSING, token.text)) return this.#group();
    if (token.text === "|") {
      this.#at++;
      const outer = this.#inBars;
      this.#inBars = true;
      const inner = this.#nested(() => this.#sum());
      this.#inBars = outer;
      this.#expect("|");
      return call("abs", inner);
    }
    if (token.kind === "command" && this.#beginsFactor(token.text)) return this.#command(token.text);
    throw new LatexError(`unexpected ${token.text}`);
  }

  #letters(token: Token): Expression {
    if (this.#style.words) {
      const word = /^(sqrt|pi|sin|cos|tan|ln|log|exp)(?![a-zA-Z])/.exec(this.#text.slice(token.start))?.[1];
      if (word) {
        while (this.#tokens[this.#at] && this.#tokens[this.#at]!.start < token.start + word.length) this.#at++;
        if (word === "pi") return symbol("\\pi");
        return call(word === "log" ? "ln" : word, this.#peek() === "(" ? this.#group() : this.#postfix());
      }
    }
    this.#at++;
    return this.#named(token.text);
  }

  /** A symbol with its subscript; before a bracket it is a function, where letters are applied. */
  #named(name: string): Expression {
    let full = name;
    if (this.#peek() === "_") {
      const start = this.#tokens[this.#at]!.end;
      this.#at++;
      this.#subscript();
      full += `_${this.#text.slice(start, this.#tokens[this.#at - 1]!.end).replaceAll(/[{}\s]/g, "")}`;
    }
    if (this.#style.sympy && name === "\\infty") return number(Infinity);
    if (!this.#style.applyLetters || this.#peek() !== "(") return symbol(full);
    const args = this.#attempt("arguments", () => {
      this.#at++;
      const list = [this.#nested(() => this.#sum())];
      while (this.#take(",")) list.push(this.#sum());
      this.#expect(")");
      return list;
    });
    return args === null ? symbol(full) : call(full, ...args);
  }

  #subscript(): void {
    if (this.#peek() === "{") this.#group();
    else if (!this.#tokens[this.#at] || !["number", "letter", "command"].includes(this.#tokens[this.#at]!.kind))
      throw new LatexError("expected a subscript");
    else this.#at++;
  }

  #command(name: string): Expression {
    if (name === "\\{") return this.#group();
    this.#at++;
    switch (name) {
      case "\\frac":
      case "\\dfrac":
      case "\\tfrac":
        return divide(this.#fractionPart(), this.#fractionPart());
      case "\\binom":
      case "\\dbinom":
      case "\\tbinom":
        return call("binomial", this.#braced(), this.#braced());
      case "\\sqrt": {
        const index = this.#peek() === "[" ? this.#group() : number(2);
        const radicand = this.#style.words && this.#peek() !== "{" ? this.#atom() : this.#braced();
        return index.kind === "number" && index.value === 2 ? call("sqrt", radicand) : call("root", radicand, index);
      }
      case "\\overline":
        return call("conjugate", this.#braced());
      case "\\lfloor":
        return this.#between("floor", "\\rfloor");
      case "\\lceil":
        return this.#between("ceil", "\\rceil");
      case "\\log":
      case "\\lg":
      case "\\ln":
        return this.#logarithm(name);
      case "\\sum":
      case "\\prod":
        return this.#series(name === "\\sum" ? "sum" : "product");
      case "\\int":
        return this.#integral();
    }
    if (Object.hasOwn(FUNCTIONS, name)) return this.#function((x) => call(FUNCTIONS[name]!, x), FUNCTIONS[name]!);
    return this.#named(name);
  }

  #fractionPart(): Expression {
    if (this.#peek() === "{") return this.#group();
    const token = this.#tokens[this.#at];
    if (this.#style.sympy === "strict") return number(Number(this.#digits(1)));
    if (!token || (token.kind !== "number" && token.kind !== "letter")) throw new LatexError("expected {");
    return this.#atom();
  }

  /** The first digits of a number, whose others are left to be read as another. */
  #digits(count: number): string {
    const token = this.#tokens[this.#at];
    if (token?.kind !== "number") throw new LatexError("expected { or a digit");
    const digits = token.text.slice(this.#taken, this.#taken + count);
    this.#taken += count;
    if (this.#taken >= token.text.length) this.#skipNumber();
    return digits;
  }

  #skipNumber(): void {
    this.#at++;
    this.#taken = 0;
  }

  #between(name: string, close: string): Expression {
    const inner = this.#nested(() => this.#sum());
    this.#expect(close);
    return call(name, inner);
  }

  #logarithm(name: string): Expression {
    const base = this.#take("_") ? this.#base() : null;
    if (name === "\\lg") return this.#function((x) => call("log", x, base ?? number(10)), "log");
    return this.#function((x) => (base ? call("log", x, base) : call("ln", x)), "ln");
  }

  /** A logarithm's base: \log_28 is the one of 8 to base 2, for an argument must be left. */
  #base(): Expression {
    const [token, next] = this.#tokens.slice(this.#at, this.#at + 2);
    const last = !next || (!["number", "letter", "command"].includes(next.kind) && !"([{|".includes(next.text));
    if (token?.kind !== "number" || token.text.length < 2 || !last || !/^\d+$/.test(token.text)) return this.#script();
    return number(Number(this.#digits(token.text.length - 1)));
  }

  /** A function with its power before the argument: \sin^2 x, \sin^{-1} x. */
  #function(apply: (x: Expression) => Expression, name: string): Expression {
    const exponent = this.#take("^") ? this.#script() : null;
    const argument = this.#peek() === "(" ? this.#group() : this.#nested(() => this.#juxtaposed(false));
    const inverse =
      exponent?.kind === "multiply" && exponent.terms.every((t) => t.kind === "number" && Math.abs(t.value) === 1);
    if (inverse && ["sin", "cos", "tan"].includes(name)) return call(`arc${name}`, argument);
    return exponent ? power(apply(argument), exponent) : apply(argument);
  }

  /** \int_a^b f dx, with the differential wherever it stands; without bounds it stays opaque. */
  #integral(): Expression {
    const bounds: { _?: Expression; "^"?: Expression } = {};
    for (let mark = this.#peek(); (mark === "_" || mark === "^") && !bounds[mark]; mark = this.#peek()) {
      this.#at++;
      bounds[mark] = this.#bound();
    }
    const integrand = this.#nested(() => this.#sum());
    const differential = symbolsOf(integrand).find((name) => /^d./.test(name)) ?? "dx";
    const variable = symbol(differential.slice(1).trim());
    const plain = substitute(integrand, differential, number(1));
    if (!bounds._ || !bounds["^"]) return call("integral", plain, variable);
    return call("integral", plain, variable, bounds._, bounds["^"]);
  }

  /** A bound of an integral: a group, or the one digit or letter that follows. */
  #bound(): Expression {
    return this.#tokens[this.#at]?.kind === "number" ? number(Number(this.#digits(1))) : this.#script();
  }

  #series(name: string): Expression {
    this.#expect("_");
    this.#expect("{");
    const index = this.#atom();
    this.#expect("=");
    const from = this.#nested(() => this.#sum());
    this.#expect("}");
    this.#expect("^");
    const to = this.#script();
    return call(
      name,
      index,
      from,
      to,
      this.#nested(() => this.#product()),
    );
  }
}
