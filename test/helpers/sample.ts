import type { Gpu } from "../../src/gpu/gpu.ts";
import { sampleTokens } from "../../src/kernels/sample.ts";
import { logSumExp } from "../../src/reference/logprob.ts";
import { f64, guarded } from "./gpu.ts";

export interface Options {
  temperature: number;
  topK: number;
  topP: number;
  minP?: number;
}

export const PLAIN: Options = { temperature: 1, topK: 0, topP: 1 };

/** One draw for every row of `z` [rows, vocabulary], which are logits already divided by the temperature. */
export async function draw(
  gpu: Gpu,
  z: Float32Array,
  { keys, positions, temperature, topK, topP, minP }: Options & { keys: Uint32Array; positions: Uint32Array },
): Promise<{ tokens: Uint32Array; logprobs: Float32Array }> {
  const rows = positions.length;
  const vocabulary = z.length / rows;
  const lse = Float32Array.from({ length: rows }, (_, r) =>
    logSumExp(f64(z.subarray(r * vocabulary, (r + 1) * vocabulary))),
  );
  const outTokens = guarded(gpu, [1, rows], "u32");
  const outLogprobs = guarded(gpu, [1, rows], "f32");
  sampleTokens(gpu.recorder(), {
    logits: gpu.upload(z, [rows, vocabulary], "f32"),
    lse: gpu.upload(lse, [rows], "f32"),
    keys: gpu.upload(keys, [rows, 4], "u32"),
    limits: gpu.upload(new Uint32Array(rows).fill(1e6), [rows], "u32"),
    stops: gpu.upload(Uint32Array.of(0xffffffff), [1], "u32"),
    tokens: gpu.zeros([rows], "u32"),
    positions: gpu.upload(positions, [rows], "u32"),
    done: gpu.zeros([rows], "u32"),
    outTokens: outTokens.tensor,
    outLogprobs: outLogprobs.tensor,
    temperature,
    topK,
    topP,
    minP,
    step: 0,
  });
  const result = { tokens: await gpu.readU32(outTokens.tensor), logprobs: await gpu.readF32(outLogprobs.tensor) };
  await outTokens.expectUntouched();
  await outLogprobs.expectUntouched();
  return result;
}

const SEED = [0x9abcdef0, 0x12345678] as const;

/** Keys [rows, 4] of one seed, prompt r % 3, sample r. */
export const keysOf = (rows: number) =>
  Uint32Array.from(Array.from({ length: rows }, (_, r) => [...SEED, r % 3, r]).flat());
