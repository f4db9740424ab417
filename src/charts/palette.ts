import type { SymbolType } from "@observablehq/plot";
import type { Series } from "./chart.ts";

const COLOURS = 6;

/** One colour for each series in turn, as a variable that CHART_STYLE sets for light and dark; lines that only guide the eye have none. */
export const colourOf = ({ line }: Series, index: number): string =>
  line === "faint" ? "var(--rule)" : line === "dashed" ? "var(--faint)" : `var(--s${index % COLOURS})`;

/** One shape for each series in turn. */
const SYMBOLS: readonly SymbolType[] = ["circle", "square", "triangle", "diamond", "star", "cross"];
export const symbolOf = (index: number): SymbolType => SYMBOLS[index % SYMBOLS.length]!;

/** Of charts' text, in pixels. */
export const FONT_SIZE = 12;

/** Room for a character of that size, in pixels: what system fonts take at most in the mean of a label. */
export const CHARACTER = 6.6;
const BOLD = 7.6;

/** A text in lines of at most `width` pixels, broken between words. */
export function lines(written: string, width: number): string[] {
  const most = Math.max(8, Math.floor(width / BOLD) - 1);
  const rows: string[] = [];
  for (const word of written.split(" ")) {
    const last = rows.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= most) rows[rows.length - 1] = `${last} ${word}`;
    else rows.push(word);
  }
  return rows;
}
