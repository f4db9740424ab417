import { describe, expect, test } from "vitest";
import { ShapeError } from "../../src/errors.ts";
import type { Gpu } from "../../src/gpu/gpu.ts";
import { attentionPaged } from "../../src/kernels/attention.ts";
import { decodeStep, hasDecodeStep } from "../../src/kernels/decode-step.ts";
import { kvCacheWrite } from "../../src/kernels/kv-cache.ts";
import { linearLogits } from "../../src/kernels/linear.ts";
import { layerForward, releaseActivations } from "../../src/model/layer.ts";
import { Model } from "../../src/model/model.ts";
import { packWeights } from "../../src/model/packed-weights.ts";
import { embed, finalNorm } from "../../src/model/transformer.ts";
import { guarded, randn, testGpu } from "../helpers/gpu.ts";
import { tinyConfig } from "../helpers/models.ts";

const BLOCK = 4;
const MAX_BLOCKS = 6;

const MODELS = [
  { name: "Qwen2: biases, tied head", hidden_size: 64, intermediate_size: 192, num_hidden_layers: 3, vocab_size: 122 },
  {
    name: "Llama: no biases, own head, odd vocabulary, heads of 8",
    model_type: "llama",
    tie_word_embeddings: false,
    hidden_size: 40,
    head_dim: 8,
    num_attention_heads: 6,
    num_key_value_heads: 3,
    intermediate_size: 44,
    vocab_size: 101,
  },
  {
    name: "Llama: all biases, one head, heads of 64",
    model_type: "llama",
    attention_bias: true,
    mlp_bias: true,
    hidden_size: 34,
    head_dim: 64,
    num_attention_heads: 1,
    num_key_value_heads: 1,
    intermediate_size: 30,
    vocab_size: 64,
  },
];
const ROWS = [1, 16, 37];

const CASES = MODELS.flatMap(({ name, ...config }) =>
  (["float32", "bfloat16"] as const).flatMap((dtype) => ROWS.map((rows) => ({ name, config, dtype, rows }))),
);

/** A model whose biases and norms are not the zeros and ones that they begin as. */
function randomModel(gpu: Gpu, config: Record<string, unknown>, dtype: "float32" | "bfloat16"): Model {
  const model = Model.random(gpu, tinyConfig(config), { dtype, seed: 3 });
  let seed = 100;
  for (const tensor of model.parameters.values()) gpu.write(tensor, randn(seed++, tensor.size, 0.3));
  return model;
}

const supported = hasDecodeStep(await testGpu(), tinyConfig());

describe.skipIf(!supported)(
  "the decode step in one dispatch (skipped where the adapter is no software or has no subgroups)",
  () => {
    test.each(CASES)("$name, $dtype, $rows rows: the bits of separate kernels", async ({ config, dtype, rows }) => {
      const gpu = await testGpu();
      const rec = gpu.recorder();
      const model = randomModel(gpu, config, dtype);
      const { numLayers, numKvHeads, headDim, vocabSize } = model.config;
      const layerBlocks = rows * MAX_BLOCKS + 2;
      const u32 = (values: number[], ...shape: number[]) => gpu.upload(Uint32Array.from(values), shape, "u32");
      const range = Array.from({ length: rows }, (_, r) => r);
      const tokens = u32(
        range.map((r) => (r * 7 + 3) % vocabSize),
        rows,
      );
      const positions = u32(
        range.map((r) => (r * 5) % (BLOCK * MAX_BLOCKS)),
        rows,
      );
      // Blocks in an order of their own, the first and the last of them nobody's.
      const tables = u32(
        Array.from({ length: rows * MAX_BLOCKS }, (_, i) => rows * MAX_BLOCKS - i),
        rows,
        MAX_BLOCKS,
      );
      const rope = model.rope(BLOCK * MAX_BLOCKS);
      const cacheShape = [numLayers * layerBlocks * BLOCK, numKvHeads, headDim];
      const history = (seed: number) =>
        randn(
          seed,
          cacheShape.reduce((a, b) => a * b),
        );
      const caches = () => {
        const [kCache, vCache] = [guarded(gpu, cacheShape, model.storage), guarded(gpu, cacheShape, model.storage)];
        gpu.write(kCache.tensor, history(1));
        gpu.write(vCache.tensor, history(2));
        return { kCache, vCache };
      };

      const fused = caches();
      const logits = guarded(gpu, [rows, vocabSize], "f32");
      decodeStep(rec, model.config, {
        tokens,
        positions,
        tables,
        rope,
        ...packWeights(rec, model),
        kCache: fused.kCache.tensor,
        vCache: fused.vCache.tensor,
        blockSize: BLOCK,
        layerBlocks,
        logits: logits.tensor,
      });

      const separate = caches();
      const paging = { tables, slots: u32(range, rows), positions, blockSize: BLOCK };
      let x = embed(rec, model, tokens);
      for (let layer = 0; layer < numLayers; layer++) {
        const cache = {
          kCache: separate.kCache.tensor,
          vCache: separate.vCache.tensor,
          firstBlock: layer * layerBlocks,
          ...paging,
        };
        const { output, activations } = layerForward(rec, model, layer, {
          input: x,
          positions,
          rope,
          isTraced: false,
          attend: ({ q, k, v, out }) => {
            kvCacheWrite(rec, { k, v, ...cache });
            attentionPaged(rec, { q, out, scale: 1 / Math.sqrt(headDim), ...cache });
            return null;
          },
        });
        releaseActivations(rec, activations);
        x = output;
      }
      const want = gpu.empty([rows, vocabSize], "f32");
      const head = { weight: model.parameter(model.headName), row0: 0, rows: vocabSize };
      linearLogits(rec, { x: finalNorm(rec, model, x).hidden, ...head, logits: want });

      const wanted = await gpu.readF32(want);
      expect(new Set(wanted).size).toBeGreaterThan(vocabSize / 2);
      expect(await gpu.readF32(logits.tensor)).toEqual(wanted);
      for (const cache of ["kCache", "vCache"] as const) {
        expect(await gpu.readF32(fused[cache].tensor)).toEqual(await gpu.readF32(separate[cache].tensor));
        await fused[cache].expectUntouched();
      }
      await logits.expectUntouched();
    });

    test("says what shapes it wants", async () => {
      const gpu = await testGpu();
      const rec = gpu.recorder();
      const model = Model.random(gpu, tinyConfig(), { dtype: "float32", seed: 1 });
      const { numLayers, numKvHeads, headDim, vocabSize } = model.config;
      const cache = () => gpu.empty([numLayers * 4 * BLOCK, numKvHeads, headDim], "f32");
      const arguments_ = {
        tokens: gpu.zeros([3], "u32"),
        positions: gpu.zeros([3], "u32"),
        tables: gpu.zeros([3, 2], "u32"),
        rope: model.rope(8),
        ...packWeights(rec, model),
        kCache: cache(),
        vCache: cache(),
        blockSize: BLOCK,
        layerBlocks: 4,
        logits: gpu.empty([3, vocabSize], "f32"),
      };
      decodeStep(rec, model.config, arguments_);
      expect(() => decodeStep(rec, model.config, { ...arguments_, layerBlocks: 5 })).toThrow(ShapeError);
      expect(() => decodeStep(rec, model.config, { ...arguments_, tables: gpu.zeros([2, 2], "u32") })).toThrow(
        ShapeError,
      );
    });
  },
);

test("a model whose rows do not fit the workgroup's memory keeps its separate kernels", async () => {
  const gpu = await testGpu();
  expect(hasDecodeStep(gpu, tinyConfig({ hidden_size: 4096, intermediate_size: 11008 }))).toBe(false);
});
