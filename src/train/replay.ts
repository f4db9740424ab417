import type { Completion } from "../engine/llm.ts";
import type { SamplingParams } from "../engine/sampling-params.ts";
import { stopsAfter, type Decode } from "../engine/stop-strings.ts";
import type { Gpu } from "../gpu/gpu.ts";
import { Tensor } from "../gpu/tensor.ts";
import { linearLogits } from "../kernels/linear.ts";
import { logNormalizers, sampleTokens } from "../kernels/sample.ts";
import { releaseBatch, uploadBatch, type PackedBatch } from "../model/batch.ts";
import type { Model } from "../model/model.ts";
import { forward } from "../model/transformer.ts";
import type { MicroBatches } from "./micro-batches.ts";
import { mapRecorded, type Recorded } from "./recorded.ts";

/** A response that is said to have been drawn from a model. */
export interface Claim extends Completion {
  promptId: number;
  promptTokenIds: readonly number[];
}

/** The first thing in a response that an honest sampler would have done otherwise. */
export interface Difference {
  /** Which of the claims. */
  claim: number;
  /** Position in the response. */
  position: number;
  what: "token" | "logprob" | "end";
  claimed: number | string;
  drawn: number | string;
}

/** Logits that exist at a time, in elements: 64 MiB. */
const MOST_LOGITS = 2 ** 24;
/** A binding begins at a multiple of 256 bytes, so pieces of the hidden states have a multiple of this many rows. */
const ROW_STEP = 64;

/** What decides, with the weights, which token comes next. */
type Sampling = Pick<SamplingParams, "temperature" | "topK" | "topP" | "minP" | "seed">;

/** What the claims are said to be drawn with. */
export interface ReplayOptions extends Omit<SamplingParams, "n"> {
  /** Prompt and completion together, as the engine had it. */
  maxModelLen: number;
  /** Where stop strings ended responses. */
  decode?: Decode;
}

/**
 * Draws every token of the claims again, each after the claimed tokens before it, in one forward pass for a micro-batch instead
 * of one for a token: the sampler is a pure function of the logits and of (seed, prompt, sample, position). Returns the first
 * difference of each claim that is not what `model` draws: a token, a log-probability's bits, or how it ended. On the kind of
 * adapter that it was drawn on, an honest response has none.
 */
export async function replay(
  model: Model,
  microBatches: MicroBatches,
  claims: readonly Claim[],
  options: ReplayOptions,
): Promise<Difference[]> {
  const draws = await redraw(model, microBatches, claims, options);
  return draws
    .map((drawn, i) => firstDifference(claims[i]!, i, drawn, options))
    .filter((difference) => difference !== null);
}

/** What the sampler draws in the place of each token of a claim, after the claimed tokens before it. */
export interface Draws {
  tokenIds: Uint32Array;
  logprobs: Float32Array;
}

/** What `model` draws in the place of each token of the claims. */
export async function redraw(
  model: Model,
  microBatches: MicroBatches,
  claims: readonly Claim[],
  options: Sampling,
): Promise<Draws[]> {
  const items = claims.map(({ promptTokenIds, tokenIds }) => [[...promptTokenIds, ...tokenIds]]);
  const drawn: Draws[] = [];
  await microBatches.run(model, items, async (packed, indices, gpu) => {
    const batch = indices.map((i) => claims[i]!);
    return mapRecorded(await recordDraws(gpu, model, packed, batch, options), (draws) =>
      draws.forEach((one, s) => (drawn[indices[s]!] = one)),
    );
  });
  return drawn;
}

async function recordDraws(
  gpu: Gpu,
  model: Model,
  packed: PackedBatch,
  claims: readonly Claim[],
  options: Sampling,
): Promise<Recorded<Draws[]>> {
  const { tokens, logprobs } = await drawRows(gpu, model, packed, claims, options);
  return {
    // The tokens' bits are read as they lie there, with the log-probabilities.
    tensors: [new Tensor(tokens.allocation, tokens.shape, "f32", tokens.offset), logprobs],
    result: ([bits, values]) => {
      gpu.release(tokens, logprobs);
      const ids = new Uint32Array(bits!.buffer, bits!.byteOffset, bits!.length);
      return claims.map(({ promptTokenIds, tokenIds }, s) => {
        const first = packed.cuSeqlens[s]! + promptTokenIds.length - 1;
        const last = first + tokenIds.length;
        return { tokenIds: ids.slice(first, last), logprobs: values!.slice(first, last) };
      });
    },
  };
}

/** The token drawn after each row, u32 [T], and its log-probability, f32 [T]. */
async function drawRows(
  gpu: Gpu,
  model: Model,
  packed: PackedBatch,
  claims: readonly Claim[],
  { temperature, topK, topP, minP, seed }: Sampling,
): Promise<{ tokens: Tensor; logprobs: Tensor }> {
  const rec = gpu.recorder();
  const { vocabSize } = model.config;
  const count = packed.tokenIds.length;
  const keys = new Uint32Array(4 * count);
  const positions = new Uint32Array(count);
  claims.forEach(({ promptId, index }, s) => {
    for (let row = packed.cuSeqlens[s]!; row < packed.cuSeqlens[s + 1]!; row++) {
      keys.set([seed >>> 0, Math.floor(seed / 2 ** 32), promptId, index], 4 * row);
      positions[row] = row - packed.cuSeqlens[s]!;
    }
  });
  const batch = uploadBatch(gpu, packed, model.config.vocabSize);
  const hidden = await forward(gpu, model, batch);
  const out = { tokens: gpu.empty([count], "u32"), logprobs: gpu.empty([count], "f32") };
  const most = Math.min(MOST_LOGITS, gpu.maxBindingSize / 4);
  const piece = Math.max(1, Math.floor(most / vocabSize / ROW_STEP)) * ROW_STEP;
  for (let first = 0; first < count; first += piece) {
    const rows = Math.min(piece, count - first);
    const u32 = (values: Uint32Array, shape: readonly number[]) => gpu.upload(values, shape, "u32");
    const logits = gpu.empty([rows, vocabSize], "f32");
    const x = hidden.rows(first, rows);
    linearLogits(rec, { x, weight: model.parameter(model.headName), row0: 0, rows: vocabSize, logits });
    const lse = logNormalizers(rec, { logits, temperature });
    const state = {
      keys: u32(keys.subarray(4 * first, 4 * (first + rows)), [rows, 4]),
      positions: u32(positions.subarray(first, first + rows), [rows]),
      // Nothing comes after the one step, so nothing ends it.
      tokens: u32(new Uint32Array(rows), [rows]),
      done: u32(new Uint32Array(rows), [rows]),
      limits: u32(new Uint32Array(rows).fill(0xffffffff), [rows]),
      stops: u32(Uint32Array.of(0xffffffff), [1]),
    };
    const outTokens = out.tokens.rows(first, rows).view([1, rows]);
    const outLogprobs = out.logprobs.rows(first, rows).view([1, rows]);
    sampleTokens(rec, { logits, lse, ...state, outTokens, outLogprobs, temperature, topK, topP, minP, step: 0 });
    gpu.release(logits, lse, ...Object.values(state));
  }
  gpu.release(hidden);
  releaseBatch(batch);
  return out;
}

function firstDifference(
  { promptTokenIds, tokenIds, logprobs, finishReason }: Claim,
  claim: number,
  drawn: Draws,
  { stopTokenIds, stop = [], decode, maxTokens, maxModelLen }: ReplayOptions,
): Difference | null {
  const stops = stop.length > 0 ? stopsAfter(stop, decode!) : () => false;
  const last = Math.min(maxTokens, maxModelLen - promptTokenIds.length) - 1;
  for (const [position, tokenId] of tokenIds.entries()) {
    const here = (what: Difference["what"], claimed: number | string, other: number | string): Difference => ({
      claim,
      position,
      what,
      claimed,
      drawn: other,
    });
    if (tokenId !== drawn.tokenIds[position]) return here("token", tokenId, drawn.tokenIds[position]!);
    const logprob = drawn.logprobs[position]!;
    if (!Object.is(logprobs[position], logprob)) return here("logprob", logprobs[position] ?? "none", logprob);
    const stopped = stopTokenIds.includes(tokenId) || stops(tokenIds.slice(0, position + 1));
    const end = stopped ? "stop" : position === last ? "length" : "goes on";
    const claimed = position < tokenIds.length - 1 ? "goes on" : finishReason;
    if (claimed !== end) return here("end", claimed, end);
  }
  return null;
}
