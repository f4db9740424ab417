import exp from "../../shaders/lib/exp.wgsl" with { type: "text" };
import index from "../../shaders/lib/index.wgsl" with { type: "text" };
import source from "../../shaders/attention-decode.wgsl" with { type: "text" };
import { defineKernel, type Kernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";

const LANES = 64;
/** Heads of a workgroup at most: what it keeps of them fits WebGPU's smallest workgroup memory for head sizes up to 256. */
const MAX_HEADS = 4;
/** With fewer workgroups than this each takes a single head: a key is then loaded more often, by invocations that had nothing to do. */
const ENOUGH_GROUPS = 512;

const kernels = new Map<string, Kernel>();

function kernelFor(constants: string): Kernel {
  let kernel = kernels.get(constants);
  if (!kernel) {
    kernel = defineKernel({ name: "attention-decode", source, includes: [constants, exp, index] });
    kernels.set(constants, kernel);
  }
  return kernel;
}

/** What attentionPaged works on. */
export interface PagedAttention {
  q: Tensor;
  kCache: Tensor;
  vCache: Tensor;
  tables: Tensor;
  slots: Tensor;
  positions: Tensor;
  out: Tensor;
  blockSize: number;
  firstBlock?: number;
  scale: number;
}

/**
 * attentionPaged (kernels/attention.ts, which checks the shapes and says what the tensors are), a workgroup to a row and some heads:
 * for adapters that a few rows in single invocations would leave idle. The bits are the same.
 */
export function attentionDecode(
  rec: Recorder,
  { q, kCache, vCache, tables, slots, positions, out, blockSize, firstBlock = 0, scale }: PagedAttention,
): void {
  const [rows = 0, heads = 0, headDim = 0] = q.shape;
  const kvHeads = kCache.shape[1]!;
  const group = heads / kvHeads;
  const together = Math.ceil(group / Math.ceil(group / MAX_HEADS));
  const workgroups = (perGroup: number) => rows * kvHeads * Math.ceil(group / perGroup);
  const perGroup = workgroups(together) < ENOUGH_GROUPS ? 1 : together;
  const pairs = headDim / 2;
  const constants = `const HEADS = ${perGroup}u; const HEAD_PAIRS = ${pairs}u; const PAIRS = ${Math.ceil(pairs / LANES)}u;`;
  rec.dispatch(kernelFor(constants), "attention_decode", {
    params: {
      rows,
      heads,
      kv_heads: kvHeads,
      scale,
      block_size: blockSize,
      max_blocks: tables.shape[1]!,
      first_block: firstBlock,
    },
    buffers: { q, k: kCache, v: vCache, positions, slots, tables, out },
    workgroups: [workgroups(perGroup)],
  });
}
