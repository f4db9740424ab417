/** What of a model, or of its responses, the reports begin with. */
export interface Measured {
  tokens: number;
  accuracy: number;
}

/** The sentence that matters: "53% fewer tokens, 12 points more accurate". */
export function difference(from: Measured, to: Measured): string {
  const saved = from.tokens > 0 ? Math.round(100 * (1 - to.tokens / from.tokens)) : 0;
  const points = Math.round(100 * (to.accuracy - from.accuracy));
  const tokens = saved === 0 ? "as many tokens" : `${Math.abs(saved)}% ${saved > 0 ? "fewer" : "more"} tokens`;
  if (points === 0) return `${tokens}, as accurate`;
  const size = Math.abs(points);
  return `${tokens}, ${size} ${size === 1 ? "point" : "points"} ${points > 0 ? "more" : "less"} accurate`;
}

/** Points of accuracy that a shorter model may lose and still be as good. */
const LITTLE = 0.01;

/** The shortest of `points` that loses little accuracy against `base`; null where none is shorter. */
export function shortest<P extends Measured>(points: readonly P[], base: Measured): P | null {
  const good = points.filter(({ tokens, accuracy }) => tokens < base.tokens && accuracy >= base.accuracy - LITTLE);
  return good.length === 0 ? null : good.reduce((best, point) => (point.tokens < best.tokens ? point : best));
}
