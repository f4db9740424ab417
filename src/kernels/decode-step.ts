import exp from "../../shaders/lib/exp.wgsl" with { type: "text" };
import paged from "../../shaders/lib/attention-paged.wgsl" with { type: "text" };
import blocks from "../../shaders/lib/attention-blocks.wgsl" with { type: "text" };
import softmax from "../../shaders/lib/attention-softmax.wgsl" with { type: "text" };
import queries from "../../shaders/lib/attention-tile.wgsl" with { type: "text" };
import tile from "../../shaders/lib/linear-tile.wgsl" with { type: "text" };
import row from "../../shaders/lib/rmsnorm-row.wgsl" with { type: "text" };
import rotation from "../../shaders/lib/rotate.wgsl" with { type: "text" };
import sigmoid from "../../shaders/lib/sigmoid.wgsl" with { type: "text" };
import square from "../../shaders/lib/square.wgsl" with { type: "text" };
import source from "../../shaders/decode-step.wgsl" with { type: "text" };
import type { Workspace } from "../gpu/workspace.ts";
import { defineKernel, type Kernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { pagedTile, tileConstants } from "./attention.ts";
import { check, hasShape } from "./check.ts";

/** Rows that a workgroup takes through the model. */
const ROWS = 16;
const LOADS = "const LOADS = 2u;";

/** The widths of a decoder of the Llama family. */
export interface DecoderShape {
  vocabSize: number;
  hiddenSize: number;
  intermediateSize: number;
  numLayers: number;
  numHeads: number;
  numKvHeads: number;
  headDim: number;
  rmsNormEps: number;
}

const kernels = new Map<string, Kernel>();

function kernelFor(constants: string): Kernel {
  let kernel = kernels.get(constants);
  if (!kernel) {
    const includes = [constants, exp, sigmoid, square, rotation, row, LOADS, tile, blocks, softmax, queries, paged];
    kernel = defineKernel({ name: "decode-step", source, includes });
    kernels.set(constants, kernel);
  }
  return kernel;
}

/** Pairs that a workgroup keeps of its rows: the residual stream, its norm, and the widest of what lies between two projections. */
function keptPairs({ hiddenSize, intermediateSize, numHeads, numKvHeads, headDim }: DecoderShape): number {
  return (ROWS * (2 * hiddenSize + Math.max((numHeads + 2 * numKvHeads) * headDim, intermediateSize))) / 2;
}

/**
 * Whether decodeStep may take the place of the separate kernels: on software adapters, where it was measured to pay, if what 16
 * rows keep fits the workgroup's memory, as a small model's does. Sums over subgroups in f32 are the only ones it has.
 */
export function hasDecodeStep({ tier, info, limits }: Workspace, shape: DecoderShape): boolean {
  const fits = 8 * keptPairs(shape) <= limits.maxComputeWorkgroupStorageSize;
  return tier === "subgroups" && info.isFallbackAdapter && fits && shape.headDim % 4 === 0;
}

/**
 * A step from tokens to logits in one dispatch: row r is the token tokens[r] at position positions[r], both u32 [R], of the
 * sequence whose block table is row r of tables u32 [R, maxBlocks]. Writes the tokens' keys and values to kCache and vCache elem
 * [L * layerBlocks * blockSize, G, D], where block b of layer l is number l * layerBlocks + b, and overwrites logits f32 [R, V].
 * `weights` elem [size] are packWeights', the head from element `headStart` on; `rope` f32 [P, D] is ropeTable's. The bits are
 * those of the separate kernels. Needs hasDecodeStep.
 */
export function decodeStep(
  rec: Recorder,
  shape: DecoderShape,
  {
    tokens,
    positions,
    tables,
    weights,
    headStart,
    rope,
    kCache,
    vCache,
    blockSize,
    layerBlocks,
    logits,
  }: {
    tokens: Tensor;
    positions: Tensor;
    tables: Tensor;
    weights: Tensor;
    headStart: number;
    rope: Tensor;
    kCache: Tensor;
    vCache: Tensor;
    blockSize: number;
    layerBlocks: number;
    logits: Tensor;
  },
): void {
  const { numLayers, numHeads, numKvHeads, headDim, vocabSize, hiddenSize, intermediateSize } = shape;
  const rows = tokens.size;
  const [, maxBlocks = 0] = tables.shape;
  const cacheShape = [numLayers * layerBlocks * blockSize, numKvHeads, headDim];
  const ok =
    hasShape(tokens, rows) &&
    hasShape(positions, rows) &&
    hasShape(tables, rows, maxBlocks) &&
    hasShape(rope, rope.shape[0]!, headDim) &&
    [kCache, vCache].every((cache) => hasShape(cache, ...cacheShape)) &&
    hasShape(logits, rows, vocabSize);
  const expected = `tokens, positions [R], tables [R, B], rope [P, D], caches [${cacheShape}], logits [R, ${vocabSize}]`;
  check(ok, "decode_step", expected, { tokens, positions, tables, rope, kCache, vCache, logits });
  const attention = pagedTile(headDim, numHeads / numKvHeads);
  rec.dispatch(kernelFor(tileConstants(attention)), "decode_step", {
    params: {
      rows,
      vocabulary: vocabSize,
      layers: numLayers,
      heads: numHeads,
      kv_heads: numKvHeads,
      stream: hiddenSize / 2,
      intermediate: intermediateSize / 2,
      eps: shape.rmsNormEps,
      scale: 1 / Math.sqrt(headDim),
      chunks: attention.chunks,
      tile: attention.heads,
      block_size: blockSize,
      max_blocks: maxBlocks,
      layer_blocks: layerBlocks,
      head_at: headStart / 2,
    },
    buffers: { tokens, positions, tables, parameters: weights, rope, k_cache: kCache, v_cache: vCache, logits },
    workgroups: [Math.ceil(rows / ROWS)],
    // Without attention, whose work depends on positions. Every workgroup reads all weights.
    cost: {
      flops: 2 * rows * weights.size,
      bytes: Math.ceil(rows / ROWS) * weights.byteLength + logits.byteLength,
    },
    constants: { LANES: rec.gpu.info.subgroupMinSize, KEPT_PAIRS: keptPairs(shape) },
  });
}
