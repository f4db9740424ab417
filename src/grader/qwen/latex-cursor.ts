import { LatexError, type Style, type Token } from "./latex-tokens.ts";

/** A formula that reads well but means nothing to sympy: no shorter beginning is tried for it. */
export class MeaningError extends LatexError {}

/** Nesting that is followed; deeper text is refused rather than exhausting the stack. */
const DEEPEST = 60;

/** A place among tokens, to which a reader may go back. */
export class LatexCursor {
  protected readonly tokens: readonly Token[];
  protected readonly text: string;
  protected readonly style: Style;
  protected at = 0;
  #depth = 0;
  /** Digits of the present number that are taken already. */
  protected taken = 0;
  readonly #failed = new Set<string>();

  constructor(tokens: readonly Token[], text: string, style: Style) {
    this.tokens = tokens;
    this.text = text;
    this.style = style;
  }

  /** Whether a bar closes rather than opens. */
  protected inBars = false;

  protected peek(): string {
    return this.tokens[this.at]?.text ?? "";
  }

  protected take(text: string): boolean {
    if (this.peek() !== text) return false;
    this.at++;
    return true;
  }

  protected expect(text: string): void {
    if (!this.take(text)) throw new LatexError(`expected ${text}`);
  }

  /**
   * What follows an operator, or null, with the operator given back: the longest beginning ends before it. What failed once
   * at a place is not tried there again.
   */
  protected attempt<T>(kind: "term" | "factor" | "exponent" | "arguments", part: () => T): T | null {
    const before = { at: this.at, taken: this.taken, depth: this.#depth, bars: this.inBars };
    const place = `${kind} ${before.at} ${before.bars}`;
    if (this.#failed.has(place)) return null;
    try {
      return part();
    } catch (error) {
      if (!(error instanceof LatexError) || error instanceof MeaningError) throw error;
      this.#failed.add(place);
      this.at = before.at;
      this.taken = before.taken;
      this.#depth = before.depth;
      this.inBars = before.bars;
      return null;
    }
  }

  protected after<T>(part: () => T): T {
    this.at++;
    return part();
  }

  protected nested<T>(part: () => T): T {
    if (++this.#depth > DEEPEST) throw new LatexError("nested too deeply");
    const result = part();
    this.#depth--;
    return result;
  }

  /** The first digits of a number, whose others are left to be read as another. */
  protected digits(count: number): string {
    const token = this.tokens[this.at];
    if (token?.kind !== "number") throw new LatexError("expected { or a digit");
    const digits = token.text.slice(this.taken, this.taken + count);
    this.taken += count;
    if (this.taken >= token.text.length) this.skipNumber();
    return digits;
  }

  protected skipNumber(): void {
    this.at++;
    this.taken = 0;
  }
}
