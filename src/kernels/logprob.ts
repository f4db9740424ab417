import index from "../../shaders/lib/index.wgsl" with { type: "text" };
import reduce from "../../shaders/lib/reduce.wgsl" with { type: "text" };
import source from "../../shaders/logprob.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { check, hasShape } from "./check.ts";
import { linearLogits } from "./linear.ts";

const logprob = defineKernel({ name: "logprob", source, includes: [index, reduce] });

/**
 * Columns of the head that are in memory at once: logits take [T, VOCAB_CHUNK], never [T, V]. The sampler's reductions end
 * at the same columns, so that both get the same bits.
 */
export const VOCAB_CHUNK = 2048;

const GROUP = 64;

/** The chunks of a vocabulary of `size` tokens. */
export function* vocabChunks(size: number): Generator<{ first: number; columns: number }> {
  for (let first = 0; first < size; first += VOCAB_CHUNK) yield { first, columns: Math.min(VOCAB_CHUNK, size - first) };
}

/**
 * log softmax(hidden W^T / temperature) at `targets`, its log-sum-exp and its entropy in nats, all f32 [T] and overwritten;
 * hidden elem [T, C], weight elem [V, C], targets u32 [T] below V. A row's values depend on that row alone.
 */
export function logprobForward(
  rec: Recorder,
  {
    hidden,
    weight,
    targets,
    temperature,
    logprob: out,
    lse,
    entropy,
  }: { hidden: Tensor; weight: Tensor; targets: Tensor; temperature: number; logprob: Tensor; lse: Tensor; entropy: Tensor },
): void {
  const rows = hidden.shape[0]!;
  const vocabulary = weight.shape[0]!;
  const ok = [targets, out, lse, entropy].every((tensor) => hasShape(tensor, rows));
  check(ok, "logprob_forward", "hidden [T, C], targets, logprob, lse, entropy [T]", { hidden, targets, logprob: out, lse, entropy });
  const { gpu } = rec;
  const state = gpu.empty([rows, 4], "f32");
  for (const { first, columns } of vocabChunks(vocabulary)) {
    const logits = gpu.empty([rows, columns], "f32");
    linearLogits(rec, { x: hidden, weight, row0: first, rows: columns, logits });
    rec.dispatch(logprob, "logprob_update", {
      params: { rows, stride: columns, offset: 0, columns, first, inverse_temperature: 1 / temperature },
      buffers: { logits, targets, state },
      workgroups: [rows],
    });
    gpu.release(logits);
  }
  rec.dispatch(logprob, "logprob_finish", {
    params: { rows },
    buffers: { state, logprob: out, lse, entropy },
    workgroups: [Math.ceil(rows / GROUP)],
  });
  gpu.release(state);
}

/** lse f32 [R] of logits f32 [R, V] / temperature: bit for bit the one of logprobForward. Overwrites lse. */
export function logitsLse(rec: Recorder, { logits, temperature, lse }: { logits: Tensor; temperature: number; lse: Tensor }): void {
  const [rows = 0, vocabulary = 0] = logits.shape;
  check(hasShape(lse, rows), "logits_lse", "logits [R, V], lse [R]", { logits, lse });
  const state = rec.gpu.empty([rows, 4], "f32");
  for (const { first, columns } of vocabChunks(vocabulary)) {
    rec.dispatch(logprob, "logprob_update_lse", {
      params: { rows, stride: vocabulary, offset: first, columns, first, inverse_temperature: 1 / temperature },
      buffers: { logits, state },
      workgroups: [rows],
    });
  }
  rec.dispatch(logprob, "logprob_lse", { params: { rows }, buffers: { state, lse }, workgroups: [Math.ceil(rows / GROUP)] });
  rec.gpu.release(state);
}
