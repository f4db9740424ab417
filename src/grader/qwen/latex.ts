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
} from "../formula/expression.ts";
import { LatexCursor, MeaningError } from "./latex-cursor.ts";
import { LatexError, tokenize, type Style } from "./latex-tokens.ts";

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

/** Atoms that are read, those of beginnings given up included. */
const MOST_STEPS = 20_000;

/**
 * The longest beginning of `text` that is a formula. Throws LatexError if not even the first token begins one. Evaluates
 * nothing.
 */
export function parseLatex(text: string, style: Style): Expression {
  return new Parser(tokenize(text, style), text, style).parse();
}

class Parser extends LatexCursor {
  #steps = 0;

  parse(): Expression {
    const expression = this.#relation();
    if (this.tokens[this.at]?.kind === "unknown") throw new LatexError("an unknown character");
    return expression;
  }

  #relation(): Expression {
    const left = this.#sum();
    let whole = left;
    for (;;) {
      const operator = RELATIONS[this.peek()];
      if (operator === undefined) return whole;
      this.at++;
      const right = this.#sum();
      const chained = whole.kind === "relation";
      if (chained && operator !== "=") throw new MeaningError("a chain of relations");
      whole = { kind: "relation", operator, left: whole, right };
    }
  }

  #sum(): Expression {
    return this.nested(() => {
      let sum = this.#product();
      for (;;) {
        const sign = this.peek();
        if (sign !== "+" && sign !== "-") return sum;
        const term = this.attempt("term", () => this.after(() => this.#product()));
        if (term === null) return sum;
        sum = sign === "+" ? add(sum, term) : subtract(sum, term);
      }
    });
  }

  #product(): Expression {
    let product = this.#signed();
    for (;;) {
      const operator = this.peek();
      const isTimes = TIMES.has(operator);
      if (!isTimes && !OVER.has(operator)) return product;
      const factor = this.attempt("factor", () => this.after(() => this.#signed()));
      if (factor === null) return product;
      product = isTimes ? multiply(product, factor) : divide(product, factor);
    }
  }

  #signed(): Expression {
    if (this.take("-")) return negate(this.nested(() => this.#signed()));
    if (this.take("+")) return this.nested(() => this.#signed());
    return this.#juxtaposed(true);
  }

  /** Factors side by side; a function's argument without brackets stops before the next function. */
  #juxtaposed(functions: boolean): Expression {
    const factors = [this.#postfix()];
    while (this.at < this.tokens.length) {
      const { kind, text } = this.tokens[this.at]!;
      const begins =
        kind === "number" ||
        kind === "letter" ||
        (kind === "command" && this.#beginsFactor(text)) ||
        Object.hasOwn(CLOSING, text) ||
        (text === "|" && !this.inBars);
      if (!begins || (!functions && this.#isFunction(text))) break;
      const factor = this.attempt("factor", () => this.#postfix());
      if (factor === null) break;
      factors.push(factor);
    }
    if (factors.length > 2) {
      // 3x10^5: an x that stands between constants multiplies them.
      const constant = (i: number) => factors[i] !== undefined && isConstant(factors[i]);
      const cross = (factor: Expression, i: number) =>
        factor.kind === "symbol" && factor.name === "x" && constant(i - 1) && constant(i + 1);
      return multiply(...factors.filter((factor, i) => !cross(factor, i)));
    }
    return factors.length === 1 ? factors[0]! : multiply(...factors);
  }

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
      (this.style === "strict" || command !== "\\end")
    );
  }

  #postfix(): Expression {
    let base = this.#atom();
    for (;;) {
      const mark = this.peek();
      if (mark === "!") {
        this.at++;
        base = call("factorial", base);
      } else if (mark === "^") {
        const exponent = this.attempt("exponent", () => this.after(() => this.#script()));
        if (exponent === null) return base;
        base = power(base, exponent);
      } else return base;
    }
  }

  /** What stands high or low: a group, or one atom. */
  #script(): Expression {
    if (this.peek() === "{") return this.#group();
    if (this.take("-")) return negate(this.#atom());
    return this.#atom();
  }

  #group(): Expression {
    const close = CLOSING[this.peek()]!;
    this.at++;
    const bars = this.inBars;
    this.inBars = false;
    const inner = this.nested(() => this.#sum());
    this.inBars = bars;
    this.expect(close);
    return inner;
  }

  #braced(): Expression {
    if (this.peek() !== "{") throw new LatexError("expected {");
    return this.#group();
  }

  #atom(): Expression {
    const token = this.tokens[this.at];
    if (++this.#steps > MOST_STEPS) throw new MeaningError("too much to try");
    if (!token) throw new LatexError("expected more");
    if (token.kind === "unknown") throw new MeaningError("an unknown character");
    if (token.kind === "number") {
      const text = token.text.slice(this.taken).replaceAll(",", "");
      this.skipNumber();
      if (this.style === "strict" && /^0\d*[1-9]\d*$/.test(text)) throw new MeaningError("a number with leading zeros");
      return numeral(text);
    }
    if (token.kind === "letter") {
      this.at++;
      return this.#named(token.text);
    }
    if (Object.hasOwn(CLOSING, token.text)) return this.#group();
    if (token.text === "|") {
      this.at++;
      const outer = this.inBars;
      this.inBars = true;
      const inner = this.nested(() => this.#sum());
      this.inBars = outer;
      this.expect("|");
      return call("abs", inner);
    }
    if (token.kind === "command" && this.#beginsFactor(token.text)) return this.#command(token.text);
    throw new LatexError(`unexpected ${token.text}`);
  }

  /** A symbol with its subscript; before a bracket it is a function applied. */
  #named(name: string): Expression {
    let full = name;
    if (this.peek() === "_") {
      const start = this.tokens[this.at]!.end;
      this.at++;
      this.#subscript();
      full += `_${this.text.slice(start, this.tokens[this.at - 1]!.end).replaceAll(/[{}\s]/g, "")}`;
    }
    if (name === "\\infty") return number(Infinity);
    if (this.peek() !== "(") return symbol(full);
    const args = this.attempt("arguments", () => {
      this.at++;
      const list = [this.nested(() => this.#sum())];
      while (this.take(",")) list.push(this.#sum());
      this.expect(")");
      return list;
    });
    return args === null ? symbol(full) : call(full, ...args);
  }

  #subscript(): void {
    if (this.peek() === "{") this.#group();
    else if (!this.tokens[this.at] || !["number", "letter", "command"].includes(this.tokens[this.at]!.kind))
      throw new LatexError("expected a subscript");
    else this.at++;
  }

  #command(name: string): Expression {
    if (name === "\\{") return this.#group();
    this.at++;
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
        const index = this.peek() === "[" ? this.#group() : number(2);
        const radicand = this.#braced();
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
    if (this.peek() === "{") return this.#group();
    const token = this.tokens[this.at];
    if (this.style === "strict") return number(Number(this.digits(1)));
    if (!token || (token.kind !== "number" && token.kind !== "letter")) throw new LatexError("expected {");
    return this.#atom();
  }

  #between(name: string, close: string): Expression {
    const inner = this.nested(() => this.#sum());
    this.expect(close);
    return call(name, inner);
  }

  #logarithm(name: string): Expression {
    const base = this.take("_") ? this.#base() : null;
    if (name === "\\lg") return this.#function((x) => call("log", x, base ?? number(10)), "log");
    return this.#function((x) => (base ? call("log", x, base) : call("ln", x)), "ln");
  }

  /** A logarithm's base: \log_28 is the one of 8 to base 2, for an argument must be left. */
  #base(): Expression {
    const [token, next] = this.tokens.slice(this.at, this.at + 2);
    const last = !next || (!["number", "letter", "command"].includes(next.kind) && !"([{|".includes(next.text));
    if (token?.kind !== "number" || token.text.length < 2 || !last || !/^\d+$/.test(token.text)) return this.#script();
    return number(Number(this.digits(token.text.length - 1)));
  }

  /** A function with its power before the argument: \sin^2 x, \sin^{-1} x. */
  #function(apply: (x: Expression) => Expression, name: string): Expression {
    const exponent = this.take("^") ? this.#script() : null;
    const argument = this.peek() === "(" ? this.#group() : this.nested(() => this.#juxtaposed(false));
    const inverse =
      exponent?.kind === "multiply" && exponent.terms.every((t) => t.kind === "number" && Math.abs(t.value) === 1);
    if (inverse && ["sin", "cos", "tan"].includes(name)) return call(`arc${name}`, argument);
    return exponent ? power(apply(argument), exponent) : apply(argument);
  }

  /** \int_a^b f dx, with the differential wherever it stands; without bounds it stays opaque. */
  #integral(): Expression {
    const bounds: { _?: Expression; "^"?: Expression } = {};
    for (let mark = this.peek(); (mark === "_" || mark === "^") && !bounds[mark]; mark = this.peek()) {
      this.at++;
      bounds[mark] = this.#bound();
    }
    const integrand = this.nested(() => this.#sum());
    const differential = symbolsOf(integrand).find((name) => /^d./.test(name)) ?? "dx";
    const variable = symbol(differential.slice(1).trim());
    const plain = substitute(integrand, differential, number(1));
    if (!bounds._ || !bounds["^"]) return call("integral", plain, variable);
    return call("integral", plain, variable, bounds._, bounds["^"]);
  }

  /** A bound of an integral: a group, or the one digit or letter that follows. */
  #bound(): Expression {
    return this.tokens[this.at]?.kind === "number" ? number(Number(this.digits(1))) : this.#script();
  }

  #series(name: string): Expression {
    this.expect("_");
    this.expect("{");
    const index = this.#atom();
    this.expect("=");
    const from = this.nested(() => this.#sum());
    this.expect("}");
    this.expect("^");
    const to = this.#script();
    return call(
      name,
      index,
      from,
      to,
      this.nested(() => this.#product()),
    );
  }
}
