import source from "../../shaders/embedding.wgsl" with { type: "text" };
import index from "../../shaders/lib/index.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { check, hasShape } from "./check.ts";
import { rowWindows } from "./windows.ts";

const embedding = defineKernel({ name: "embedding", source, includes: [index] });

const GROUP_PAIRS = 64;
const FIRST = 0x80000000;
const NEXT = 0x7fffffff;

/** out f32 [T, C] = rows ids u32 [T] of weight elem [V, C], C even. Every id is below V: that is for the caller to see to. */
export function embeddingForward(
  rec: Recorder,
  { ids, weight, out }: { ids: Tensor; weight: Tensor; out: Tensor },
): void {
  const [tokens = 0, columns = 0] = out.shape;
  const ok =
    hasShape(ids, tokens) &&
    hasShape(weight, weight.shape[0]!, columns) &&
    hasShape(out, tokens, columns) &&
    columns % 2 === 0;
  check(ok, "embedding_forward", "ids [T], weight [V, C], out [T, C] with even C", { ids, weight, out });
  for (const { first, part } of rowWindows(rec.gpu, weight)) {
    rec.dispatch(embedding, "embedding_forward", {
      params: { tokens, columns, first, rows: part.shape[0]! },
      buffers: { ids, weight: part, out },
      cost: { flops: 0, bytes: 2 * out.byteLength },
      workgroups: [Math.ceil((tokens * columns) / 2 / GROUP_PAIRS)],
    });
  }
}

/**
 * The occurrences of each id as a linked list: bit 31 marks an id's first occurrence, the low bits hold the position of
 * its next one, or 0x7fffffff at the last. The lists let the backward pass sum without atomics, in the tokens' order.
 */
export function linkOccurrences(ids: Uint32Array): Uint32Array {
  const links = new Uint32Array(ids.length);
  const next = new Map<number, number>();
  for (let t = ids.length - 1; t >= 0; t--) {
    const later = next.get(ids[t]!);
    if (later !== undefined) links[later]! &= NEXT;
    links[t] = FIRST | (later ?? NEXT);
    next.set(ids[t]!, t);
  }
  return links;
}

/**
 * dweight f32 [V, C] += the rows of dout f32 [T, C], each to the row of its id. `links` u32 [T] is
 * linkOccurrences(ids), uploaded.
 */
export function embeddingBackward(
  rec: Recorder,
  { ids, links, dout, dweight }: { ids: Tensor; links: Tensor; dout: Tensor; dweight: Tensor },
): void {
  const [tokens = 0, columns = 0] = dout.shape;
  const ok =
    hasShape(ids, tokens) &&
    hasShape(links, tokens) &&
    hasShape(dout, tokens, columns) &&
    hasShape(dweight, dweight.shape[0]!, columns) &&
    columns % 2 === 0;
  const expected = "ids, links [T], dout [T, C], dweight [V, C] with even C";
  check(ok, "embedding_backward", expected, { ids, links, dout, dweight });
  for (const { first, part } of rowWindows(rec.gpu, dweight)) {
    rec.dispatch(embedding, "embedding_backward", {
      params: { tokens, columns, first, rows: part.shape[0]! },
      buffers: { ids, links, dout, dweight: part },
      cost: { flops: tokens * columns, bytes: 3 * dout.byteLength },
      workgroups: [Math.ceil((tokens * columns) / 2 / GROUP_PAIRS)],
    });
  }
}
