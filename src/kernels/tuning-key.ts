import type { Gpu } from "../gpu/gpu.ts";
import { preamble } from "../gpu/kernel.ts";
import type { TuningKey } from "../gpu/tuning.ts";
import { matrixKernel, tilesOf, VARIANTS } from "./linear-matrix.ts";
import { packKernel } from "./linear-pack.ts";

/** What a table of tiles for this device is known by; null where kernels have no choice: in all tiers but "matrices". */
export async function tuningKey(gpu: Gpu): Promise<TuningKey | null> {
  const { matrices, info, tier } = gpu;
  if (!matrices) return null;
  const tiles = tilesOf(gpu, matrices);
  if (tiles.length < 2) return null;
  const products = VARIANTS.flatMap(({ product, rowsFrom }) =>
    tiles.map((tile) => matrixKernel(matrices, tile, rowsFrom, product)),
  );
  const kernels = [packKernel(matrices.component), ...products];
  const { m, n, k, component } = matrices;
  return {
    adapter: [info.vendor, info.architecture, info.device, info.description].join(" "),
    tier,
    matrices: `${m} x ${n} x ${k} ${component}`,
    tiles: tiles.length,
    kernel: await digest(kernels.map((kernel) => preamble(kernel, "bf16") + kernel.source).join("\n")),
  };
}

async function digest(text: string): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(hash, 0, 8), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
