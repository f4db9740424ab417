import source from "../../shaders/attention.wgsl" with { type: "text" };
import { defineKernel, type Kernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { check, hasShape } from "./check.ts";

const GROUP_ROWS = 64;
const LARGEST_HEAD = 256;

const kernels = new Map<number, Kernel>();

/** The kernel for one head size, which sizes its private arrays. */
function attention(headDim: number): Kernel {
  let kernel = kernels.get(headDim);
  if (!kernel) {
    kernel = defineKernel({ name: "attention", source, includes: [`const HEAD_PAIRS = ${headDim / 2}u;`] });
    kernels.set(headDim, kernel);
  }
  return kernel;
}

interface Heads {
  rows: number;
  heads: number;
  headDim: number;
}

function queryShape(op: string, q: Tensor, tensors: Record<string, Tensor>): Heads {
  const [rows = 0, heads = 0, headDim = 0] = q.shape;
  const ok = q.shape.length === 3 && headDim % 2 === 0 && headDim > 0 && headDim <= LARGEST_HEAD;
  check(ok, op, `q [T, H, D] with even D of at most ${LARGEST_HEAD}`, tensors);
  return { rows, heads, headDim };
}

/**
 * Packed variable-length causal attention: out elem [T, H, D] and lse f32 [T, H] from q elem [T, H, D] and k, v elem
 * [T, G, D], H a multiple of G. `starts` u32 [T] is the first row of a row's own sequence. Overwrites out and lse.
 */
export function attentionForward(
  rec: Recorder,
  {
    q,
    k,
    v,
    starts,
    out,
    lse,
    scale,
  }: { q: Tensor; k: Tensor; v: Tensor; starts: Tensor; out: Tensor; lse: Tensor; scale: number },
): void {
  const { rows, heads, headDim } = queryShape("attention_forward", q, { q, k, v, out });
  const kvHeads = k.shape[1] ?? 0;
  const ok =
    heads % kvHeads === 0 &&
    hasShape(k, rows, kvHeads, headDim) &&
    hasShape(v, rows, kvHeads, headDim) &&
    hasShape(out, rows, heads, headDim) &&
    hasShape(starts, rows) &&
    hasShape(lse, rows, heads);
  check(ok, "attention_forward", "q, out [T, H, D], k, v [T, G, D], starts [T], lse [T, H]", {
    q,
    k,
    v,
    starts,
    out,
    lse,
  });
  rec.dispatch(attention(headDim), "attention_forward", {
    params: { rows, heads, kv_heads: kvHeads, scale },
    buffers: { q, k, v, starts, out, lse },
    workgroups: [Math.ceil(rows / GROUP_ROWS), heads],
  });
}

/**
 * Attention of the engine: row r of q elem [R, H, D] attends to positions 0 to positions[r] of its sequence, whose block
 * table is row slots[r] of tables u32 [S, maxBlocks], in kCache and vCache elem [numBlocks * blockSize, G, D].
 * Overwrites out elem [R, H, D]; bit for bit what attentionForward gives for the same keys and values.
 */
export function attentionPaged(
  rec: Recorder,
  {
    q,
    kCache,
    vCache,
    tables,
    slots,
    positions,
    out,
    blockSize,
    scale,
  }: {
    q: Tensor;
    kCache: Tensor;
    vCache: Tensor;
    tables: Tensor;
    slots: Tensor;
    positions: Tensor;
    out: Tensor;
    blockSize: number;
    scale: number;
  },
): void {
  const { rows, heads, headDim } = queryShape("attention_paged", q, { q, kCache, vCache, out });
  const [cacheRows = 0, kvHeads = 0] = kCache.shape;
  const ok =
    heads % kvHeads === 0 &&
    hasShape(kCache, cacheRows, kvHeads, headDim) &&
    hasShape(vCache, cacheRows, kvHeads, headDim) &&
    hasShape(out, rows, heads, headDim) &&
    hasShape(slots, rows) &&
    hasShape(positions, rows);
  check(ok, "attention_paged", "q, out [R, H, D], caches [N, G, D], slots, positions [R]", {
    q,
    kCache,
    vCache,
    out,
    slots,
    positions,
  });
  rec.dispatch(attention(headDim), "attention_paged", {
    params: { rows, heads, kv_heads: kvHeads, scale, block_size: blockSize, max_blocks: tables.shape[1]! },
    buffers: { q, k: kCache, v: vCache, tables, slots, positions, out },
    workgroups: [Math.ceil(rows / GROUP_ROWS), heads],
  });
}

/**
 * Gradients of attentionForward, by recomputation from lse: dq f32 [T, H, D], dk and dv f32 [T, G, D], all overwritten.
 * `ends` u32 [T] is one past the last row of a row's own sequence, delta f32 [T, H] is scratch.
 */
export function attentionBackward(
  rec: Recorder,
  {
    q,
    k,
    v,
    out,
    dout,
    lse,
    starts,
    ends,
    delta,
    dq,
    dk,
    dv,
    scale,
  }: {
    q: Tensor;
    k: Tensor;
    v: Tensor;
    out: Tensor;
    dout: Tensor;
    lse: Tensor;
    starts: Tensor;
    ends: Tensor;
    delta: Tensor;
    dq: Tensor;
    dk: Tensor;
    dv: Tensor;
    scale: number;
  },
): void {
  const tensors = { q, k, v, out, dout, lse, starts, ends, delta, dq, dk, dv };
  const { rows, heads, headDim } = queryShape("attention_backward", q, tensors);
  const kvHeads = k.shape[1] ?? 0;
  const ok =
    heads % kvHeads === 0 &&
    [out, dout, dq].every((tensor) => hasShape(tensor, rows, heads, headDim)) &&
    [k, v, dk, dv].every((tensor) => hasShape(tensor, rows, kvHeads, headDim)) &&
    [lse, delta].every((tensor) => hasShape(tensor, rows, heads)) &&
    [starts, ends].every((tensor) => hasShape(tensor, rows));
  check(
    ok,
    "attention_backward",
    "q, out, dout, dq [T, H, D], k, v, dk, dv [T, G, D], lse, delta [T, H], starts, ends [T]",
    tensors,
  );
  const kernel = attention(headDim);
  const params = { rows, heads, kv_heads: kvHeads, scale };
  const groups = Math.ceil(rows / GROUP_ROWS);
  rec.dispatch(kernel, "attention_delta", {
    params,
    buffers: { saved_out: out, dout, delta },
    workgroups: [groups, heads],
  });
  rec.dispatch(kernel, "attention_dq", {
    params,
    buffers: { q, k, v, dout, saved_lse: lse, saved_delta: delta, starts, dq },
    workgroups: [groups, heads],
  });
  rec.dispatch(kernel, "attention_dkv", {
    params,
    buffers: { q, k, v, dout, saved_lse: lse, saved_delta: delta, ends, dk, dv },
    workgroups: [groups, kvHeads],
  });
}
