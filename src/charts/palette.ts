import type { SymbolType } from "@observablehq/plot";
import type { Series } from "./chart.ts";

/** Of every colour one: series that share neither are told apart without seeing colours. */
const SYMBOLS: readonly SymbolType[] = ["circle", "square", "triangle", "diamond", "star", "cross"];

export interface Look {
  series: Series;
  /** A variable that CHART_STYLE sets for light and dark. */
  colour: string;
  symbol: SymbolType;
}

/** Each series with a colour and a shape in turn; lines that only guide the eye are grey and take none. */
export function looksOf(all: readonly Series[]): Look[] {
  let taken = 0;
  return all.map((series) => {
    const grey = { faint: "var(--ghost)", dashed: "var(--faint)", solid: null }[series.line ?? "solid"];
    const place = (grey && !series.markers ? 0 : taken++) % SYMBOLS.length;
    return { series, colour: grey ?? `var(--s${place})`, symbol: SYMBOLS[place]! };
  });
}

/** Of charts' text, in pixels. */
export const FONT_SIZE = 12;

/** Room for a character of that size, in pixels: what system fonts take at most in the mean of a label. */
export const CHARACTER = 6.6;
const BOLD = 7.6;

/** A text in lines of at most `width` pixels, broken between words. */
export function lines(written: string, width: number): string[] {
  const most = Math.max(8, Math.floor(width / BOLD) - 1);
  const rows: string[] = [];
  for (const word of written.split(" ").filter(Boolean)) {
    const last = rows.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= most) rows[rows.length - 1] = `${last} ${word}`;
    else rows.push(word);
  }
  return rows;
}
