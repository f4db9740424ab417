import { describe, expect, test } from "vitest";
import { ShapeError } from "../../src/errors.ts";
import type { Gpu } from "../../src/gpu/gpu.ts";
import type { Storage } from "../../src/gpu/tensor.ts";
import { logprobForward, VOCAB_CHUNK } from "../../src/kernels/logprob.ts";
import * as twin from "../../src/reference/logprob.ts";
import { expectClose, f64, guarded, randn, stored, STORAGES, testGpu } from "../helpers/gpu.ts";

/** Hidden states of eight bits, which no tier rounds, one of them large enough that its softmax is nearly one-hot; and a head. */
function inputsOf(tokens: number, inputs: number, vocabulary: number, storage: Storage) {
  const large = (v: number, i: number) => (Math.floor(i / inputs) === 1 ? 20 * v : v);
  const hidden = stored(randn(1, tokens * inputs).map(large), "bf16");
  const weight = stored(randn(2, vocabulary * inputs), storage);
  // The first and the last token of the vocabulary, and of its chunks, among the targets.
  const edges = [vocabulary - 1, 0, VOCAB_CHUNK - 1, VOCAB_CHUNK].filter((v) => v < vocabulary);
  const targets = Uint32Array.from({ length: tokens }, (_, t) => edges[t] ?? (t * 7919) % vocabulary);
  return { hidden, weight, targets };
}

// Around the workgroups of 64 rows and lanes, and around the vocabulary's chunks.
const SHAPES = [
  { tokens: 1, inputs: 2, vocabulary: 1, temperature: 1 },
  { tokens: 5, inputs: 6, vocabulary: 63, temperature: 0.7 },
  { tokens: 67, inputs: 10, vocabulary: 121, temperature: 1 },
  { tokens: 5, inputs: 4, vocabulary: VOCAB_CHUNK, temperature: 1.3 },
  { tokens: 7, inputs: 6, vocabulary: 2 * VOCAB_CHUNK + 77, temperature: 0.9 },
];

describe.each(STORAGES)("logprob in %s", (storage) => {
  test.each(SHAPES)("$tokens x $inputs -> $vocabulary at $temperature", async (shape) => {
    const { tokens, inputs, vocabulary, temperature } = shape;
    const gpu = await testGpu();
    const { hidden, weight, targets } = inputsOf(tokens, inputs, vocabulary, storage);
    const want = twin.logprobForward({ ...shape, hidden: f64(hidden), weight: f64(weight), targets });

    const out = {
      logprob: guarded(gpu, [tokens], "f32"),
      lse: guarded(gpu, [tokens], "f32"),
      entropy: guarded(gpu, [tokens], "f32"),
    };
    logprobForward(gpu.recorder(), {
      hidden: gpu.upload(hidden, [tokens, inputs], "f32"),
      weight: gpu.upload(weight, [vocabulary, inputs], storage),
      targets: gpu.upload(targets, [tokens], "u32"),
      temperature,
      logprob: out.logprob.tensor,
      lse: out.lse.tensor,
      entropy: out.entropy.tensor,
    });
    for (const name of ["logprob", "lse", "entropy"] as const) {
      const got = await gpu.readF32(out[name].tensor);
      // With one token in the vocabulary logprob and entropy are 0.
      if (vocabulary === 1 && name !== "lse") expect(Array.from(got)).toEqual([0]);
      else expectClose(got, want[name], { rtol: 2e-6, atol: 1e-5 });
      await out[name].expectUntouched();
    }
  });
});

async function run(gpu: Gpu, hidden: Float32Array, targets: Uint32Array, weight: Float32Array, inputs: number) {
  const tokens = targets.length;
  const out = {
    logprob: gpu.empty([tokens], "f32"),
    lse: gpu.empty([tokens], "f32"),
    entropy: gpu.empty([tokens], "f32"),
  };
  logprobForward(gpu.recorder(), {
    hidden: gpu.upload(hidden, [tokens, inputs], "f32"),
    weight: gpu.upload(weight, [weight.length / inputs, inputs], "bf16"),
    targets: gpu.upload(targets, [tokens], "u32"),
    temperature: 0.7,
    ...out,
  });
  return Promise.all(Object.values(out).map((tensor) => gpu.readF32(tensor)));
}

test("a row has the same bits alone and in a batch", async () => {
  const gpu = await testGpu();
  const [tokens, inputs, vocabulary] = [70, 6, VOCAB_CHUNK + 5];
  const { hidden, weight, targets } = inputsOf(tokens, inputs, vocabulary, "bf16");
  const whole = await run(gpu, hidden, targets, weight, inputs);
  for (const row of [0, 1, 33, 69]) {
    const alone = await run(
      gpu,
      hidden.slice(row * inputs, (row + 1) * inputs),
      targets.slice(row, row + 1),
      weight,
      inputs,
    );
    expect(alone.map((values) => values[0])).toEqual(whole.map((values) => values[row]));
  }
});

test("logits that are not numbers surface", async () => {
  const gpu = await testGpu();
  const hidden = Float32Array.of(1, NaN, 1, 2);
  const [logprob, lse] = await run(gpu, hidden, Uint32Array.of(3, 3), randn(1, 20), 2);
  expect(Array.from(logprob!, Number.isFinite)).toEqual([false, true]);
  expect(Array.from(lse!, Number.isFinite)).toEqual([false, true]);
});

test("shapes that do not fit are named", async () => {
  const gpu = await testGpu();
  const rows = () => gpu.zeros([3], "f32");
  const tensors = { targets: gpu.zeros([3], "u32"), temperature: 1, logprob: rows(), lse: rows(), entropy: rows() };
  const hidden = gpu.zeros([3, 4], "f32");
  expect(() => logprobForward(gpu.recorder(), { ...tensors, hidden, weight: gpu.zeros([9, 6], "f32") })).toThrow(
    /logprob_forward.*weight \[9,6\]/,
  );
  const weight = gpu.zeros([9, 4], "f32");
  expect(() => logprobForward(gpu.recorder(), { ...tensors, hidden, weight, targets: gpu.zeros([2], "u32") })).toThrow(
    ShapeError,
  );
});
