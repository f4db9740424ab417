import type { Gpu } from "../gpu/gpu.ts";
import { byteLength, type Storage } from "../gpu/tensor.ts";
import { parameterShapes, type ModelConfig } from "./config.ts";

/** Kernels take these by windows of rows where the adapter cannot bind them whole (kernels/windows.ts). */
const BY_WINDOWS: ReadonlySet<string> = new Set(["model.embed_tokens.weight", "lm_head.weight"]);

/** What is wrong with the adapter for such a model, known before anything is read or uploaded; null where its parameters fit. */
export function misfit({ limits, maxBindingSize }: Gpu, config: ModelConfig, storage: Storage): string | null {
  for (const [name, shape] of parameterShapes(config)) {
    const limit = BY_WINDOWS.has(name) ? limits.maxBufferSize : Math.min(limits.maxBufferSize, maxBindingSize);
    const bytes = byteLength(shape, storage);
    if (bytes > limit)
      return `expected ${name} in at most ${limit} bytes (this adapter's limit), got ${bytes} in ${storage}; use a smaller model`;
  }
  return null;
}
