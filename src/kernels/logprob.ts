import log from "../../shaders/lib/log.wgsl" with { type: "text" };
import exp from "../../shaders/lib/exp.wgsl" with { type: "text" };
import index from "../../shaders/lib/index.wgsl" with { type: "text" };
import source from "../../shaders/logprob.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { check, hasShape } from "./check.ts";
import { linearLogits, SharedRows } from "./linear.ts";

const logprobKernel = defineKernel({ name: "logprob", source, includes: [exp, log, index] });

/** Columns of the vocabulary that are summed together, and that the trainer holds at a time; as in logprob.wgsl. */
export const VOCAB_CHUNK = 2048;

/** The vocabulary in chunks, the last one as large as is left. */
export function* vocabularyChunks(vocabulary: number): Generator<{ row0: number; rows: number }> {
  for (let row0 = 0; row0 < vocabulary; row0 += VOCAB_CHUNK) {
    yield { row0, rows: Math.min(VOCAB_CHUNK, vocabulary - row0) };
  }
}

const rowGroups = (rows: number) => [Math.ceil(rows / 64)] as const;

/**
 * The sums over each chunk of the vocabulary that logSumExp puts together. `logits` f32 [T, N] are those of the vocabulary
 * from `column0` (a multiple of VOCAB_CHUNK) on, and are divided by the temperature in place. Overwrites the N columns'
 * chunks in `partials`, f32 [T, chunks, 3].
 */
export function logitSums(
  rec: Recorder,
  {
    logits,
    column0,
    temperature,
    partials,
  }: { logits: Tensor; column0: number; temperature: number; partials: Tensor },
): void {
  const [rows = 0, columns = 0] = logits.shape;
  const [, chunks = 0] = partials.shape;
  const pieces = Math.ceil(columns / VOCAB_CHUNK);
  const ok =
    hasShape(logits, rows, columns) &&
    hasShape(partials, rows, chunks, 3) &&
    column0 % VOCAB_CHUNK === 0 &&
    column0 / VOCAB_CHUNK + pieces <= chunks;
  check(ok, "logprob_partial", `logits [T, N] of columns from ${column0} on, partials [T, chunks, 3]`, {
    logits,
    partials,
  });
  rec.dispatch(logprobKernel, "logprob_partial", {
    params: { rows, columns, column0, chunks, inverse_temperature: 1 / temperature },
    buffers: { logits, partials },
    workgroups: [rows * pieces],
  });
}

/** lse and entropy (nats), f32 [T], from the partials f32 [T, chunks, 3] of all chunks. Overwrites both. */
export function logSumExp(
  rec: Recorder,
  { partials, lse, entropy }: { partials: Tensor; lse: Tensor; entropy: Tensor },
): void {
  const [rows = 0, chunks = 0] = partials.shape;
  const ok = hasShape(partials, rows, chunks, 3) && hasShape(lse, rows) && hasShape(entropy, rows);
  check(ok, "logprob_normalize", "partials [T, chunks, 3], lse [T], entropy [T]", { partials, lse, entropy });
  rec.dispatch(logprobKernel, "logprob_normalize", {
    params: { rows, chunks },
    buffers: { partials, lse, entropy },
    workgroups: rowGroups(rows),
  });
}

/**
 * logprob f32 [T] of `targets` u32 [T] under softmax(hidden W^T / temperature), its log-normaliser lse f32 [T] and its
 * entropy f32 [T] in nats. hidden is f32 [T, C], the head W elem [V, C], temperature is above 0. Overwrites all three.
 * The logits exist VOCAB_CHUNK columns at a time (8 KiB a token). A row's results do not depend on the other rows, and
 * lse and logprob have the bits that the sampler gets (logNormalizers and sampleTokens) for the same hidden state.
 */
export function logprobForward(
  rec: Recorder,
  {
    hidden,
    weight,
    targets,
    temperature,
    logprob,
    lse,
    entropy,
  }: {
    hidden: Tensor;
    weight: Tensor;
    targets: Tensor;
    temperature: number;
    logprob: Tensor;
    lse: Tensor;
    entropy: Tensor;
  },
): void {
  const [tokens = 0, width = 0] = hidden.shape;
  const [vocabulary = 0] = weight.shape;
  const ok =
    hasShape(hidden, tokens, width) &&
    hasShape(weight, vocabulary, width) &&
    [targets, logprob, lse, entropy].every((tensor) => hasShape(tensor, tokens));
  const tensors = { hidden, weight, targets, logprob, lse, entropy };
  check(ok, "logprob_forward", "hidden [T, C], weight [V, C], targets, logprob, lse and entropy [T]", tensors);

  const { gpu } = rec;
  const partials = gpu.empty([tokens, Math.ceil(vocabulary / VOCAB_CHUNK), 3], "f32");
  const x = new SharedRows(hidden);
  for (const { row0, rows } of vocabularyChunks(vocabulary)) {
    const logits = gpu.empty([tokens, rows], "f32");
    linearLogits(rec, { x, weight, row0, rows, logits });
    logitSums(rec, { logits, column0: row0, temperature, partials });
    rec.dispatch(logprobKernel, "logprob_gather", {
      params: { rows: tokens, columns: rows, column0: row0 },
      buffers: { logits, targets, logprob },
      workgroups: rowGroups(tokens),
    });
    gpu.release(logits);
  }
  x.release(rec);
  logSumExp(rec, { partials, lse, entropy });
  rec.dispatch(logprobKernel, "logprob_finish", {
    params: { rows: tokens },
    buffers: { logprob, lse },
    workgroups: rowGroups(tokens),
  });
  gpu.release(partials);
}
