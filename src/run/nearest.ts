/** The name that is nearest to a wrong one by edits; null where there is none to choose from. */
export function nearest(wrong: string, names: readonly string[]): string | null {
  if (names.length === 0) return null;
  return names.reduce((best, name) => (editDistance(wrong, name) < editDistance(wrong, best) ? name : best));
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length]!;
}
