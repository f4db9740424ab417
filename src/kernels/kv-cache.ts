import index from "../../shaders/lib/index.wgsl" with { type: "text" };
import source from "../../shaders/kv-cache.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { check, hasShape } from "./check.ts";

const kvCache = defineKernel({ name: "kv-cache", source, includes: [index] });

const GROUP = 64;

/** k and v f32 [T, G, D] as the cache would hold them: kPacked and vPacked elem [T, G, D], overwritten. */
export function kvPack(
  rec: Recorder,
  { k, v, kPacked, vPacked }: { k: Tensor; v: Tensor; kPacked: Tensor; vPacked: Tensor },
): void {
  const ok = k.size % 2 === 0 && [v, kPacked, vPacked].every((tensor) => hasShape(tensor, ...k.shape));
  check(ok, "kv_pack", "k, v, kPacked, vPacked [T, G, D] with even D", { k, v, kPacked, vPacked });
  rec.dispatch(kvCache, "kv_pack", {
    params: { rows: 1, pairs: k.size / 2 },
    buffers: { k, v, k_packed: kPacked, v_packed: vPacked },
    workgroups: [Math.ceil(k.size / 2 / GROUP)],
  });
}

/**
 * Writes k and v f32 [R, G, D] into kCache and vCache elem [numBlocks * blockSize, G, D], each row at its position u32 [R]
 * of the sequence whose block table is row slots[r] of tables u32 [S, maxBlocks], its blocks counted from `firstBlock` on. Rows
 * go to different places.
 */
export function kvCacheWrite(
  rec: Recorder,
  {
    k,
    v,
    positions,
    slots,
    tables,
    kCache,
    vCache,
    blockSize,
    firstBlock = 0,
  }: {
    k: Tensor;
    v: Tensor;
    positions: Tensor;
    slots: Tensor;
    tables: Tensor;
    kCache: Tensor;
    vCache: Tensor;
    blockSize: number;
    firstBlock?: number;
  },
): void {
  const [rows = 0, kvHeads = 0, headDim = 0] = k.shape;
  const ok =
    hasShape(v, rows, kvHeads, headDim) &&
    hasShape(positions, rows) &&
    hasShape(slots, rows) &&
    hasShape(kCache, kCache.shape[0]!, kvHeads, headDim) &&
    hasShape(vCache, kCache.shape[0]!, kvHeads, headDim);
  check(ok, "kv_cache_write", "k, v [R, G, D], positions, slots [R], caches [N, G, D]", {
    k,
    v,
    positions,
    slots,
    kCache,
    vCache,
  });
  const pairs = (kvHeads * headDim) / 2;
  rec.dispatch(kvCache, "kv_cache_write", {
    params: { rows, pairs, block_size: blockSize, max_blocks: tables.shape[1]!, first_block: firstBlock },
    buffers: { k, v, positions, slots, tables, k_packed: kCache, v_packed: vCache },
    cost: { flops: 0, bytes: 2 * (k.byteLength + v.byteLength) },
    workgroups: [Math.ceil((rows * pairs) / GROUP)],
  });
}
