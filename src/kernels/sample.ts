import exp from "../../shaders/lib/exp.wgsl" with { type: "text" };
import index from "../../shaders/lib/index.wgsl" with { type: "text" };
import rng from "../../shaders/lib/rng.wgsl" with { type: "text" };
import source from "../../shaders/sample.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { check, hasShape } from "./check.ts";
import { logitSums, logSumExp, VOCAB_CHUNK } from "./logprob.ts";

const sample = defineKernel({ name: "sample", source, includes: [exp, index, rng] });

const rowGroups = (rows: number) => [Math.ceil(rows / 64)] as const;

/** Below this, logits divided by the temperature leave the range of f32. */
const LEAST_TEMPERATURE = 1e-30;

/** Whether a temperature takes the most probable token: 0, or so near to it that nothing else can be drawn. */
const isGreedy = (temperature: number): boolean => temperature < LEAST_TEMPERATURE;

/**
 * Divides logits f32 [R, V] by the temperature, in place, and returns their log-normaliser lse f32 [R], which the caller releases.
 * Greedy decoding leaves the logits as they are. The bits are those of logprobForward.
 */
export function logNormalizers(
  rec: Recorder,
  { logits, temperature }: { logits: Tensor; temperature: number },
): Tensor {
  const { gpu } = rec;
  const [rows = 0, vocabulary = 0] = logits.shape;
  const lse = gpu.empty([rows], "f32");
  const entropy = gpu.empty([rows], "f32");
  const partials = gpu.empty([rows, Math.ceil(vocabulary / VOCAB_CHUNK), 3], "f32");
  logitSums(rec, { logits, column0: 0, temperature: isGreedy(temperature) ? 1 : temperature, partials });
  logSumExp(rec, { partials, lse, entropy });
  gpu.release(partials, entropy);
  return lse;
}

/**
 * thresholds u32 [R]: top-k, then top-p, then min-p keep the tokens whose logit's bits, in the order of floats (ordered_bits in
 * sample.wgsl), are at least this. topK 0, topP 1 and minP 0 keep all; logits equal to the smallest kept one are all kept.
 * logits f32 [R, V] are divided by the temperature, lse f32 [R] is theirs.
 */
export function sampleThresholds(
  rec: Recorder,
  {
    logits,
    lse,
    topK,
    topP,
    minP = 0,
    thresholds,
  }: { logits: Tensor; lse: Tensor; topK: number; topP: number; minP?: number; thresholds: Tensor },
): void {
  const [rows = 0, vocabulary = 0] = logits.shape;
  const ok = hasShape(logits, rows, vocabulary) && hasShape(lse, rows) && hasShape(thresholds, rows);
  check(ok, "sample_threshold", "logits [R, V], lse [R], thresholds [R]", { logits, lse, thresholds });
  rec.dispatch(sample, "sample_threshold", {
    params: {
      rows,
      vocabulary,
      top_k: Math.min(topK, vocabulary),
      top_p: topP,
      min_p: minP > 0 ? 1 : 0,
      log_min_p: minP > 0 ? Math.log(minP) : 0,
    },
    buffers: { logits, lse, thresholds },
    workgroups: [rows],
  });
}

/**
 * Draws each row's next token and moves the row on.
 *
 * Reads logits f32 [R, V] (divided by the temperature) and lse f32 [R] as logNormalizers leaves them, keys u32 [R, 4] (seed low, seed
 * high, prompt, sample), limits u32 [R] and stops u32 [K]. Temperature 0, or less than 1e-30, takes the most probable token; otherwise the
 * temperature is already in the logits. The draw depends on keys, the row's position and its logits alone.
 *
 * Overwrites row `step` of outTokens u32 [steps, R] and of outLogprobs f32 [steps, R], the token's log-probability before
 * top-k, top-p and min-p; NaN, and token 0, where a logit of the row is not finite. In the rows that are not done: tokens u32 [R] becomes the token, positions u32 [R] grows by one, and
 * done u32 [R] is set if the token is one of stops or the new position has reached the row's limit. A row that is done
 * keeps its token and position, and what it draws means nothing.
 */
export function sampleTokens(
  rec: Recorder,
  {
    logits,
    lse,
    keys,
    limits,
    stops,
    tokens,
    positions,
    done,
    outTokens,
    outLogprobs,
    temperature,
    topK,
    topP,
    minP = 0,
    step,
  }: {
    logits: Tensor;
    lse: Tensor;
    keys: Tensor;
    limits: Tensor;
    stops: Tensor;
    tokens: Tensor;
    positions: Tensor;
    done: Tensor;
    outTokens: Tensor;
    outLogprobs: Tensor;
    temperature: number;
    topK: number;
    topP: number;
    minP?: number | undefined;
    step: number;
  },
): void {
  const [rows = 0, vocabulary = 0] = logits.shape;
  const [steps = 0] = outTokens.shape;
  const ok =
    hasShape(logits, rows, vocabulary) &&
    hasShape(keys, rows, 4) &&
    hasShape(stops, stops.size) &&
    [lse, limits, tokens, positions, done].every((tensor) => hasShape(tensor, rows)) &&
    [outTokens, outLogprobs].every((tensor) => hasShape(tensor, steps, rows)) &&
    step >= 0 &&
    step < steps;
  const tensors = { logits, lse, keys, limits, stops, tokens, positions, done, outTokens, outLogprobs };
  check(
    ok,
    "sample",
    `logits [R, V], keys [R, 4], stops [K], outTokens and outLogprobs [steps > ${step}, R], all others [R]`,
    tensors,
  );

  const { gpu } = rec;
  const greedy = isGreedy(temperature);
  const filtered = !greedy && ((topK > 0 && topK < vocabulary) || topP < 1 || minP > 0);
  const chunks = Math.ceil(vocabulary / VOCAB_CHUNK);
  const thresholds = gpu.empty([rows], "u32");
  const candidates = gpu.empty([rows, chunks, 2], "u32");
  if (filtered) sampleThresholds(rec, { logits, lse, topK, topP, minP, thresholds });
  rec.dispatch(sample, "sample_chunk", {
    params: { rows, vocabulary, greedy: greedy ? 1 : 0, filtered: filtered ? 1 : 0 },
    buffers: { logits, keys, thresholds, candidates, positions },
    workgroups: [rows * chunks],
  });
  rec.dispatch(sample, "sample_pick", {
    params: { rows, vocabulary, step },
    buffers: { logits, lse, candidates, out_tokens: outTokens, out_logprobs: outLogprobs },
    workgroups: rowGroups(rows),
  });
  rec.dispatch(sample, "sample_advance", {
    params: { rows, step, stop_count: stops.size },
    buffers: { out_tokens: outTokens, limits, stops, tokens, positions, done },
    workgroups: rowGroups(rows),
  });
  gpu.release(thresholds, candidates);
}
