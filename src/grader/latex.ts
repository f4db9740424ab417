import { add, call, divide, multiply, negate, number, power, subtract, symbol, type Expression } from "./expression.ts";

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
const CLOSING: Readonly<Record<string, string>> = { "(": ")", "[": "]", "{": "}", "\\{": "\\}" };

/** Nesting that is followed; deeper text is refused rather than exhausting the stack. */
const DEEPEST = 60;
const LONGEST = 5000;

/** Marks and escapes that sympy's lexer knows; anything else makes it give up where it looks at it. */
const KNOWN_MARK = /^[-+*/(){}[\]|_^:!=<>',.]$/;
const LINE_BREAK = "\\\\";
const KNOWN_ESCAPE = /^\\[{}|*\-./"(=]$/;

const PATTERN =
  /(\s+|~)|((?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)|(\\[a-zA-Z]+|\\[^a-zA-Z\s])|([a-zA-Z]'*)|([<>]=|[\s\S])/gy;
const DIFFERENTIAL = /d\s*(?:[a-zA-Z]|\\[a-zA-Z]+)/y;

function tokenize(text: string, { sympy }: LatexStyle): Token[] {
  if (text.length > LONGEST) throw new LatexError("too long");
  const tokens: Token[] = [];
  for (let at = 0; at < text.length; at = PATTERN.lastIndex) {
    PATTERN.lastIndex = at;
    const [whole, space, digits, command, letter] = PATTERN.exec(text)!;
    if ((space !== undefined && !(sympy === "strict" && whole === "~")) || (command && INVISIBLE.has(command)))
      continue;
    const token: Token = { kind: "mark", text: whole, start: at, end: at + whole.length };
    if (digits) {
      token.kind = "number";
      const before = tokens.at(-1);
      // Digits with only space between them are one number.
      if (before?.kind === "number" && !before.text.includes(".") && !digits.startsWith(".")) {
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
        token.end = PATTERN.lastIndex = at + differential.length;
      }
    } else if (command) {
      const known = /^\\[a-zA-Z]/.test(command) || KNOWN_ESCAPE.test(command);
      token.kind = !sympy || known || (sympy === "lenient" && command === LINE_BREAK) ? "command" : "unknown";
    } else if (sympy && !KNOWN_MARK.test(whole) && !(sympy === "lenient" && whole.length === 2)) token.kind = "unknown";
    tokens.push(token);
  }
  return tokens;
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

  /** What follows an operator, or nothing, with the operator given back: the longest beginning ends before it. */
  #attempt<T>(part: () => T): T | null {
    const before = this.#at;
    const depth = this.#depth;
    try {
      this.#at++;
      return part();
    } catch (error) {
      if (!(error instanceof LatexError)) throw error;
      this.#at = before;
      this.#depth = depth;
      return null;
    }
  }

  #nested<T>(part: () => T): T {
    if (++this.#depth > DEEPEST) throw new LatexError("nested too deeply");
    const result = part();
    this.#depth--;
    return result;
  }

  #relation(): Expression {
    const left = this.#sum();
    const operator = RELATIONS[this.#peek()];
    if (operator === undefined) return left;
    this.#at++;
    const right = this.#sum();
    if (RELATIONS[this.#peek()] !== undefined) throw new LatexError("a chain of relations");
    return { kind: "relation", operator, left, right };
  }

  #sum(): Expression {
    return this.#nested(() => {
      let sum = this.#product();
      for (;;) {
        const sign = this.#peek();
        if (sign !== "+" && sign !== "-") return sum;
        this.#at++;
        const term = this.#product();
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
      this.#at++;
      const factor = this.#signed();
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
      const factor = this.#attempt(() => {
        this.#at--;
        return this.#postfix();
      });
      if (factor === null) break;
      factors.push(this.#mixed(before, factors.at(-1)!, factor) ? add(factors.pop()!, factor) : factor);
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
      !["\\rfloor", "\\rceil", "\\rangle", "\\}", "\\end"].includes(command)
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
        const exponent = this.#attempt(() => this.#script());
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
    const inner = this.#nested(() => this.#relation());
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
    if (!token) throw new LatexError("expected more");
    if (token.kind === "number") {
      this.#at++;
      if (this.#style.sympy === "strict" && /^0\d*[1-9]\d*$/.test(token.text))
        throw new LatexError("a number with leading zeros");
      return number(Number(token.text.replaceAll(",", "")));
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
    if (!this.#style.applyLetters || this.#peek() !== "(") return symbol(full);
    const args = this.#attempt(() => {
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
    }
    if (Object.hasOwn(FUNCTIONS, name)) return this.#function((x) => call(FUNCTIONS[name]!, x), FUNCTIONS[name]!);
    return this.#named(name);
  }

  #fractionPart(): Expression {
    if (this.#peek() === "{") return this.#group();
    const token = this.#tokens[this.#at];
    if (!token || (token.kind !== "number" && token.kind !== "letter")) throw new LatexError("expected {");
    return this.#atom();
  }

  #between(name: string, close: string): Expression {
    const inner = this.#nested(() => this.#sum());
    this.#expect(close);
    return call(name, inner);
  }

  #logarithm(name: string): Expression {
    const base = name !== "\\ln" && this.#take("_") ? this.#script() : null;
    if (name === "\\lg") return this.#function((x) => call("log", x, base ?? number(10)), "log");
    return this.#function((x) => (base ? call("log", x, base) : call("ln", x)), "ln");
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
