import { numeral, type Expression } from "../formula/expression.ts";
import { ReadError, type Token } from "./tokens.ts";

/** A place among tokens, which only moves on. */
export class Cursor {
  readonly #tokens: Token[];
  #at = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = [...tokens];
  }

  get at(): number {
    return this.#at;
  }

  get atEnd(): boolean {
    return this.#at >= this.#tokens.length;
  }

  token(ahead = 0): Token | undefined {
    return this.#tokens[this.#at + ahead];
  }

  /** The tokens from here to the end, or those since another place. */
  rest(): readonly Token[] {
    return this.#tokens.slice(this.#at);
  }
  since(start: number): readonly Token[] {
    return this.#tokens.slice(start, this.#at);
  }

  /** The text of the next token, "" at the end. */
  peek(ahead = 0): string {
    return this.token(ahead)?.text ?? "";
  }

  kind(ahead = 0): Token["kind"] | undefined {
    return this.token(ahead)?.kind;
  }

  next(): Token {
    const token = this.token();
    if (!token) throw new ReadError("expected more");
    this.#at++;
    return token;
  }

  take(text: string): boolean {
    if (this.token()?.text !== text) return false;
    this.#at++;
    return true;
  }

  /** Takes the one of some texts that is next, "" if none is. */
  takeOf(texts: readonly string[]): string {
    return texts.find((text) => this.take(text)) ?? "";
  }

  expect(text: string): void {
    if (!this.take(text)) throw new ReadError(`expected ${text}`);
  }

  /** The first digit of a number, whose others are left: \frac12. Null where no number of several digits is next. */
  digit(): Expression | null {
    const token = this.token();
    if (token?.kind !== "number" || token.text.length < 2 || token.text.includes(".")) return null;
    this.#tokens[this.#at] = { ...token, text: token.text.slice(1), spaced: false };
    return numeral(token.text[0]!);
  }
}
