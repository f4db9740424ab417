/** A decimal number, as people and JSON write it; null for any other text. */
export const decimal = (text: string): number | null =>
  /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : null;
