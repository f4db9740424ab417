import { packBf16, unpackBf16 } from "../core/bf16.ts";
import type { Weights } from "../hf/checkpoint.ts";
import { adapterTensors, loraScale, readAdapterConfig } from "../hf/peft.ts";
import type { Files } from "../runtime/types.ts";
import type { ModelConfig } from "./config.ts";
import { openAdapter, targetModules } from "./lora.ts";
import type { ModelDType } from "./model.ts";

/**
 * A base's weights with the adapter of a folder in them, W + s B A, summed in float64 and rounded to `dtype` once; one tensor is
 * read at a time.
 */
export async function mergedWeights(
  base: Weights,
  config: ModelConfig,
  files: Files,
  dir: string,
  { dtype }: { dtype: ModelDType },
): Promise<Weights> {
  const lora = await readAdapterConfig(files, dir);
  const { file } = await openAdapter(files, dir, config, lora);
  const modules = new Map(targetModules(config, lora).map((module) => [`${module}.weight`, module]));
  const round = (values: Float32Array) => (dtype === "bfloat16" ? unpackBf16(packBf16(values)) : values);
  const readWeights = async (name: string) => {
    const weights = await base.readWeights(name);
    const module = modules.get(name);
    if (module === undefined) return round(weights);
    const { a, b } = adapterTensors(module);
    return round(withProduct(weights, await file.readWeights(a), await file.readWeights(b), lora.r, loraScale(lora)));
  };
  return {
    ...base,
    readWeights,
    async *weightParts(name) {
      yield { first: 0, values: await readWeights(name) };
    },
  };
}

/** W [N, K] + scale B [N, r] A [r, K]. */
function withProduct(w: Float32Array, a: Float32Array, b: Float32Array, r: number, scale: number): Float32Array {
  const inputs = a.length / r;
  const merged = new Float32Array(w.length);
  const row = new Float64Array(inputs);
  for (let n = 0; n < b.length / r; n++) {
    row.set(w.subarray(n * inputs, (n + 1) * inputs));
    for (let i = 0; i < r; i++) {
      const factor = scale * b[n * r + i]!;
      for (let k = 0; k < inputs; k++) row[k]! += factor * a[i * inputs + k]!;
    }
    merged.set(row, n * inputs);
  }
  return merged;
}
