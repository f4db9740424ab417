import { packBf16 } from "../../src/core/bf16.ts";
import { elementCount } from "../../src/gpu/tensor.ts";
import type { TensorSource } from "../../src/hf/safetensors.ts";
import { parameterShapes } from "../../src/model/config.ts";
import { normalAt } from "../../src/model/init.ts";
import { writeModelFolder } from "../../src/model/model.ts";
import type { Files } from "../../src/runtime/types.ts";
import { tinyConfig } from "./models.ts";
import { byteLevelJson } from "./tokenizers.ts";

/** Of a model whose responses end soon: many tokens end them. */
export const QUICK = {
  max_position_embeddings: 192,
  eos_token_id: Array.from({ length: 100 }, (_, i) => 256 - i),
};

/** A Hugging Face folder of a tiny random model that reads and writes bytes; 256 ends a response. Needs no adapter. */
export async function writeTinyModel(
  files: Files,
  dir: string,
  overrides: Record<string, unknown> = {},
): Promise<void> {
  const config = tinyConfig({ vocab_size: 258, eos_token_id: 256, ...overrides });
  await writeModelFolder(files, dir, { config, dtype: "bfloat16" }, randomTensors(parameterShapes(config)));
  await files.write(`${dir}/tokenizer.json`, JSON.stringify(byteLevelJson()));
}

const randomTensors = (shapes: ReadonlyMap<string, readonly number[]>): TensorSource[] =>
  Array.from(shapes, ([name, shape], stream) => ({
    name,
    dtype: "BF16",
    shape: [...shape],
    data: () => {
      const value = (i: number) => (name.endsWith("norm.weight") ? 1 : 0.1 * normalAt(7, stream, i));
      return new Uint8Array(packBf16(Float32Array.from({ length: elementCount(shape) }, (_, i) => value(i))).buffer);
    },
  }));
