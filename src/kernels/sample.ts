import index from "../../shaders/lib/index.wgsl" with { type: "text" };
import reduce from "../../shaders/lib/reduce.wgsl" with { type: "text" };
import rng from "../../shaders/lib/rng.wgsl" with { type: "text" };
import source from "../../shaders/sample.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { check, hasShape } from "./check.ts";
import { linearLogits } from "./linear.ts";
import { logitsLse } from "./logprob.ts";

const sample = defineKernel({ name: "sample", source, includes: [index, reduce, rng] });

const GROUP = 64;

/** logits f32 [R, V] of hidden elem [R, C] under the head elem [V, C], and lse f32 [R] of logits / temperature. Both are new. */
export function decodeLogits(
  rec: Recorder,
  { hidden, weight, temperature }: { hidden: Tensor; weight: Tensor; temperature: number },
): { logits: Tensor; lse: Tensor } {
  const rows = hidden.shape[0]!;
  const vocabulary = weight.shape[0]!;
  const logits = rec.gpu.empty([rows, vocabulary], "f32");
  const lse = rec.gpu.empty([rows], "f32");
  linearLogits(rec, { x: hidden, weight, row0: 0, rows: vocabulary, logits });
  logitsLse(rec, { logits, temperature, lse });
  return { logits, lse };
}

export interface SampleTokens {
  /** f32 [R, V] and f32 [R], of decodeLogits at the same temperature (at 1 for greedy decoding). */
  logits: Tensor;
  lse: Tensor;
  /** 0 is greedy. */
  temperature: number;
  /** 0 keeps all. */
  topK: number;
  /** 1 keeps all. */
  topP: number;
  /** u32 [R, 4]: seed low, seed high, prompt, sample. */
  keys: Tensor;
  /** u32 [number of stop tokens]. */
  stops: Tensor;
  /** u32 [R]: the position at which a row stands still. */
  limits: Tensor;
  /** u32 [R], moved on: the next step's input and its position, and whether the row has ended. */
  tokens: Tensor;
  positions: Tensor;
  done: Tensor;
  /** u32 and f32 [steps, R]: row `step` is overwritten. */
  outTokens: Tensor;
  outLogprobs: Tensor;
  step: number;
}

/**
 * Draws one token for each row from softmax(logits / temperature), restricted by top-k and then top-p, and moves the decode
 * state on. The noise depends on (seed, prompt, sample, position) alone; the log-probability is the unrestricted one.
 */
export function sampleTokens(rec: Recorder, options: SampleTokens): void {
  const { logits, lse, temperature, topK, topP, keys, stops, limits, tokens, positions, done, outTokens, outLogprobs, step } = options;
  const [rows = 0, vocabulary = 0] = logits.shape;
  const ok = [lse, limits, tokens, positions, done].every((tensor) => hasShape(tensor, rows)) && hasShape(keys, rows, 4) && step < outTokens.shape[0]!;
  check(ok, "sample_tokens", "logits [R, V], keys [R, 4], lse, limits, tokens, positions, done [R]", { logits, keys, lse, limits, tokens, positions, done });
  const params = {
    rows,
    vocabulary,
    step,
    greedy: temperature === 0 ? 1 : 0,
    top_k: topK,
    top_p: topP,
    num_stops: stops.size,
    inverse_temperature: temperature === 0 ? 1 : 1 / temperature,
  };
  rec.dispatch(sample, "sample_select", {
    params,
    buffers: { logits, lse, keys, drawn_positions: positions, out_tokens: outTokens, out_logprobs: outLogprobs },
    workgroups: [rows],
  });
  rec.dispatch(sample, "sample_advance", {
    params,
    buffers: { drawn: outTokens, stops, limits, tokens, positions, done },
    workgroups: [Math.ceil(rows / GROUP)],
  });
}
