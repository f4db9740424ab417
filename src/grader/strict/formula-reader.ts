import {
  add,
  call,
  divide,
  multiply,
  negate,
  number,
  numeral,
  power,
  subtract,
  symbol,
  type Expression,
} from "../formula/expression.ts";
import { Cursor } from "./cursor.ts";
import { CLOSING, CURRENCIES, isSeparator, RELATIONS, SET_OPERATIONS } from "./marks.ts";
import { ReadError, type Token } from "./tokens.ts";
import { lettersMeasure } from "./units.ts";

/** Nesting that is followed; deeper text is refused rather than exhausting the stack. */
const DEEPEST = 60;

const SIGNS = ["+", "-", "\\pm", "\\mp"];
/** Letters that are functions before a bracket, and those that are where a number alone stands in it. */
const FUNCTION = /^[fg]'*$/;
const FUNCTION_OF_NUMBER = /^[hpqFGHPQ]'*$/;

/** Reads formulas from left to right, without ever going back: sums of products of powers. */
export abstract class FormulaReader extends Cursor {
  #depth = 0;
  /** Whether a bar closes rather than opens; a bar or colon separates; degrees are numbers. */
  protected closesBars = false;
  protected inSet = false;
  protected inFunction = false;
  /** Whether a d ends the formula. */
  #inIntegral = false;
  /** Tokens of money before the present number. */
  protected money: Token[] = [];

  /** What brackets hold. */
  protected abstract bracketed(): Expression;
  /** What bars hold. */
  protected abstract list(): Expression;
  /** The rows of an environment whose beginning is read already. */
  abstract rows(environment: string): Expression[][];
  /** What a command, read already, and its arguments mean. */
  protected abstract command(name: string): Expression;
  /** Whether what is next ends a value wherever it stands. */
  protected abstract ends(): boolean;

  /** What is read as a whole of its own: within brackets, bars and functions. */
  nested<T>(part: () => T, { bars = false, set = false, func = this.inFunction } = {}): T {
    const before = [this.closesBars, this.inSet, this.inFunction] as const;
    [this.closesBars, this.inSet, this.inFunction] = [bars, set, func];
    const result = this.#deeper(part);
    [this.closesBars, this.inSet, this.inFunction] = before;
    return result;
  }

  #deeper<T>(part: () => T): T {
    if (++this.#depth > DEEPEST) throw new ReadError("nested too deeply");
    const result = part();
    this.#depth--;
    return result;
  }

  sum(): Expression {
    return this.#deeper(() => {
      let sum = this.product();
      for (;;) {
        const sign = this.takeOf(SIGNS);
        if (sign === "") return sum;
        const term = this.product();
        if (sign === "+") sum = add(sum, term);
        else if (sign === "-") sum = isSet(sum) && isSet(term) ? call("setminus", sum, term) : subtract(sum, term);
        else sum = add(sum, call(sign.slice(1), term));
      }
    });
  }

  product(): Expression {
    let product = this.#signed();
    for (;;) {
      if (this.take("*")) product = multiply(product, this.#signed());
      else if (this.take("/")) {
        // 1/2 x is a half of x, and a/bc a divided by both.
        const plain = product.kind === "number" && this.kind() === "number";
        product = divide(product, plain ? this.#postfix() : this.#signed());
        if (plain && this.#begins()) product = multiply(product, this.#juxtaposed());
      } else return product;
    }
  }

  #signed(): Expression {
    const sign = this.takeOf(SIGNS);
    if (sign === "") return this.#juxtaposed();
    const value = this.#deeper(() => this.#signed());
    return sign === "+" ? value : sign === "-" ? negate(value) : call(sign.slice(1), value);
  }

  /** Whether a factor begins without a sign before it. */
  #begins(): boolean {
    const [kind, text] = [this.kind(), this.peek()];
    if (kind === undefined || kind === "word" || text === "mod" || this.ends()) return false;
    if (kind === "letter")
      return !(this.#inIntegral && text === "d" && this.kind(1) === "letter") && !lettersMeasure(this.rest());
    if (kind === "command")
      return (
        RELATIONS[text] === undefined && SET_OPERATIONS[text] === undefined && !/^\\(?:pm|mp|to|ldots)$/.test(text)
      );
    return (
      kind === "number" ||
      text === "(" ||
      text === "[" ||
      text === "{" ||
      (text === "|" && !this.closesBars && !this.inSet)
    );
  }

  #isFunction(): boolean {
    return /^\\(?:a?rc)?(?:sinh?|cosh?|tanh?|cot|sec|csc|ln|log|exp|cis)$/.test(this.peek());
  }

  /** Factors side by side; a function's argument without brackets stops before the next function. */
  #juxtaposed(functions = true): Expression {
    let last = this.at;
    const factors = [this.#postfix()];
    while (this.#begins() && (functions || !this.#isFunction())) {
      const [before, here] = [this.token(-1)!, this.at];
      if (this.kind() === "number" && before.kind === "number") throw new ReadError("two numbers side by side");
      const applied = this.#application(factors.at(-1)!, here - last);
      if (this.peek() === "x" && before.kind === "number" && this.peek(1) === "10" && this.peek(2) === "^") this.next();
      const isFraction = this.peek() === "\\frac";
      if (applied) factors.splice(-1, 1, applied);
      else {
        const factor = this.#postfix();
        const mixed = isFraction && isWhole(factors.at(-1)!) && before.kind === "number" && isFractionOfNumbers(factor);
        factors.push(mixed ? add(factors.pop()!, factor) : factor);
      }
      last = here;
    }
    return factors.length === 1 ? factors[0]! : multiply(...factors);
  }

  /** f(x): a name of functions directly before a bracket. */
  #application(before: Expression, length: number): Expression | null {
    if (before.kind !== "symbol" || length !== 1 || this.peek() !== "(" || this.token()!.spaced) return null;
    const ofNumber = FUNCTION_OF_NUMBER.test(before.name) && this.kind(1) === "number" && this.peek(2) === ")";
    if (!FUNCTION.test(before.name) && !ofNumber) return null;
    const inner = this.bracketed();
    return call(before.name, ...(inner.kind === "call" && inner.name === "()" ? inner.args : [inner]));
  }

  #postfix(): Expression {
    let base = this.#deeper(() => this.#atom());
    for (;;) {
      if (this.take("!")) base = call("factorial", base);
      else if (this.take("^")) base = power(base, this.script());
      else if ((this.inFunction || this.#continuesDegrees()) && this.take("°")) {
        if (this.inFunction) base = multiply(base, divide(symbol("\\pi"), number(180)));
      } else return base;
    }
  }

  /** A degree sign within a formula is left out; at its end it is a unit. */
  #continuesDegrees(): boolean {
    return ["+", "-", "*", "/", ":"].includes(this.peek(1));
  }

  /** What stands high or low: a group, or one atom, and a power of it. */
  script(): Expression {
    return this.#deeper(() => {
      if (this.take("-")) return negate(this.script());
      if (this.take("+")) return this.script();
      const base = this.#atom();
      return this.take("^") ? power(base, this.script()) : base;
    });
  }

  /** A group in braces, or one atom. */
  argument(): Expression {
    return this.peek() === "{" ? this.bracketed() : this.#atom();
  }

  /** A function's argument: in brackets, or the factors that follow. */
  functionArgument(): Expression {
    return this.nested(
      () =>
        this.peek() === "(" || this.peek() === "{"
          ? this.#postfixOfGroup()
          : this.take("-")
            ? negate(this.#juxtaposed(false))
            : this.#juxtaposed(false),
      { bars: this.closesBars, set: this.inSet, func: true },
    );
  }

  #postfixOfGroup(): Expression {
    const group = this.bracketed();
    if (this.take("°")) return multiply(group, divide(symbol("\\pi"), number(180)));
    return group;
  }

  integrand(): Expression {
    const before = this.#inIntegral;
    this.#inIntegral = true;
    const body = this.peek() === "d" && this.kind(1) === "letter" ? number(1) : this.sum();
    this.#inIntegral = before;
    return body;
  }

  #atom(): Expression {
    const [kind, text] = [this.kind(), this.peek()];
    if (kind === "number") return numeral(this.next().text);
    if (kind === "letter") return this.name(this.next().text);
    if (kind === "word") return this.#words();
    if (CURRENCIES.has(text)) {
      this.money.push(this.next());
      return this.#deeper(() => (this.take("-") ? negate(this.#atom()) : this.#atom()));
    }
    if (CLOSING[text] !== undefined) return this.bracketed();
    if (text === "|" || text === "\\|") {
      this.next();
      const inner = this.nested(() => this.list(), { bars: true });
      this.expect(text);
      return call(text === "|" ? "abs" : "norm", inner);
    }
    if (kind === "command") return this.command(this.next().text);
    throw new ReadError(`unexpected ${text}`);
  }

  /** A symbol with its primes and its subscript. */
  name(letter: string): Expression {
    let name = letter;
    while (this.take("'")) name += "'";
    if (this.take("_")) {
      const start = this.at;
      if (this.take("{")) {
        for (let depth = 1; depth > 0;) {
          const { text } = this.next();
          depth += text === "{" ? 1 : text === "}" ? -1 : 0;
        }
      } else this.next();
      const low = this.since(start).map((token) => token.text);
      name += `_${low.filter((text) => text !== "{" && text !== "}").join("")}`;
    }
    return symbol(name);
  }

  /** Words that are all of an item, or name a side of an equation. */
  #words(): Expression {
    const words: string[] = [];
    while (this.kind() === "word" && !isSeparator(this.peek())) words.push(this.next().text.toLowerCase());
    while (this.kind() === "letter" && !this.ends()) words.push(this.next().text.toLowerCase());
    if (words.length === 0 || (!this.atEnd && !this.ends())) throw new ReadError("words beside a formula");
    return symbol(`"${words.join(" ")}"`);
  }
}

const isWhole = (x: Expression): boolean => x.kind === "number" && Number.isInteger(x.value);
const isFractionOfNumbers = (x: Expression): boolean =>
  x.kind === "multiply" &&
  x.terms[0]!.kind === "number" &&
  x.terms[1]!.kind === "power" &&
  x.terms[1]!.base.kind === "number";
const isSet = (x: Expression): boolean =>
  x.kind === "symbol"
    ? /^\\[RZNQC]$/.test(x.name)
    : x.kind === "call" && /^(?:set|union|setminus|intersection|\(\]|\[\))$/.test(x.name);
