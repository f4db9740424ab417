import { FormatError } from "../errors.ts";

/**
 * Choices between kernels of the same result that were measured to be the fastest on one adapter: the index of a tile, under the
 * shape that it is for. What is not in it is left to the kernel's own rule.
 */
export type Tuning = ReadonlyMap<string, number>;

/** What a table holds for: one that was measured with anything else says nothing. */
export interface TuningKey {
  /** Vendor, architecture, device and driver. */
  adapter: string;
  tier: string;
  /** Size and components of the subgroup matrices. */
  matrices: string;
  /** How many tiles there are to choose from, and a digest of the text of each. */
  tiles: number;
  kernel: string;
}

/** More rows than these are no different. */
export const MOST_ROWS = 8192;

const powerOfTwo = (n: number): number => 2 ** (32 - Math.clz32(n - 1));

/** What results [rows, columns] of an entry point are filed under: shapes share a choice up to the next powers of two. */
export const tuningShape = (entryPoint: string, rows: number, columns: number): string =>
  `${entryPoint} ${powerOfTwo(Math.min(rows, MOST_ROWS))} x ${powerOfTwo(columns)}`;

/** The name of an adapter's table: another kernel's takes its place, another driver's lies beside it. */
export const tuningName = ({ adapter, tier, matrices }: TuningKey): string =>
  `${[adapter, tier, matrices]
    .join(" ")
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .slice(0, 200)}.json`;

export const formatTuning = (tuning: Tuning, key: TuningKey): string =>
  `${JSON.stringify({ key, tiles: Object.fromEntries(tuning) }, null, 1)}\n`;

/** The table in `text`; a FormatError where it is damaged or not for this key. */
export function parseTuning(text: string, key: TuningKey): Tuning {
  let json: { key?: Partial<TuningKey>; tiles?: Record<string, unknown> } | null;
  try {
    json = JSON.parse(text) as typeof json;
  } catch (error) {
    throw new FormatError(`expected JSON, got ${(error as Error).message}`, { cause: error });
  }
  if (typeof json?.key !== "object" || typeof json.tiles !== "object" || !json.key || !json.tiles)
    throw new FormatError("expected a table of tiles with its key");
  const names = ["adapter", "tier", "matrices", "tiles", "kernel"] as const;
  const other = names.find((name) => json.key![name] !== key[name]);
  if (other) throw new FormatError(`expected a table for ${other} ${key[other]}, got one for ${json.key[other]}`);
  const tuning = new Map<string, number>();
  for (const [shape, tile] of Object.entries(json.tiles)) {
    if (!Number.isInteger(tile) || (tile as number) < 0 || (tile as number) >= key.tiles)
      throw new FormatError(`${shape}: expected a tile from 0 to ${key.tiles - 1}, got ${JSON.stringify(tile)}`);
    tuning.set(shape, tile as number);
  }
  return tuning;
}
