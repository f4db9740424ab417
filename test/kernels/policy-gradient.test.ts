import { describe, expect, test } from "vitest";
import { ShapeError } from "../../src/errors.ts";
import type { Gpu } from "../../src/gpu/gpu.ts";
import { planningGpu } from "../../src/gpu/planning-gpu.ts";
import type { Storage } from "../../src/gpu/tensor.ts";
import { logprobForward, VOCAB_CHUNK } from "../../src/kernels/logprob.ts";
import {
  crossEntropyGradient,
  policyGradient,
  preferenceGradient,
  type KlEstimator,
} from "../../src/kernels/policy-gradient.ts";
import * as logprobTwin from "../../src/reference/logprob.ts";
import * as twin from "../../src/reference/policy-gradient.ts";
import { expectClose, f64, guarded, randn, stored, STORAGES, testGpu } from "../helpers/gpu.ts";

interface Case {
  tokens: number;
  inputs: number;
  vocabulary: number;
  temperature: number;
  klEstimator: KlEstimator;
}

const CASES: Case[] = [
  { tokens: 1, inputs: 2, vocabulary: 3, temperature: 1, klEstimator: "none" },
  { tokens: 67, inputs: 10, vocabulary: 121, temperature: 1, klEstimator: "k1" },
  { tokens: 9, inputs: 6, vocabulary: VOCAB_CHUNK + 77, temperature: 0.7, klEstimator: "k2" },
  { tokens: 70, inputs: 4, vocabulary: 63, temperature: 1.3, klEstimator: "k3" },
];

const options = { epsilon: 0.2, beta: 0.05 };

/**
 * Inputs with ratios inside the range and beyond both ends, advantages of both signs, and a few tokens not trained. Hidden states
 * are of eight bits, which no tier rounds.
 */
function inputsOf({ tokens, inputs, vocabulary, temperature }: Case, storage: Storage) {
  const hidden = stored(randn(1, tokens * inputs), "bf16");
  const weight = stored(randn(2, vocabulary * inputs), storage);
  const targets = Uint32Array.from({ length: tokens }, (_, t) => vocabulary - 1 - ((t * 37) % vocabulary));
  const shape = { inputs, vocabulary, temperature };
  const { logprob } = logprobTwin.logprobForward({ hidden: f64(hidden), weight: f64(weight), targets, ...shape });
  const noise = randn(3, 2 * tokens, 0.3);
  return {
    hidden,
    weight,
    targets,
    logprob,
    weights: randn(4, tokens).map((v, t) => (t % 5 === 3 ? 0 : Math.abs(v))),
    advantages: randn(5, tokens),
    oldLogprobs: Float32Array.from(logprob, (l, t) => l + noise[t]!),
    refLogprobs: Float32Array.from(logprob, (l, t) => l + noise[tokens + t]!),
  };
}

type Inputs = ReturnType<typeof inputsOf>;

/** The tensors of a head after its forward pass; what the gradient writes is guarded. */
function headOf(gpu: Gpu, { tokens, inputs, vocabulary, temperature }: Case, data: Inputs, storage: Storage) {
  const shared = {
    hidden: gpu.upload(data.hidden, [tokens, inputs], "f32"),
    weight: gpu.upload(data.weight, [vocabulary, inputs], storage),
    targets: gpu.upload(data.targets, [tokens], "u32"),
    logprob: gpu.empty([tokens], "f32"),
    lse: gpu.empty([tokens], "f32"),
    temperature,
  };
  logprobForward(gpu.recorder(), { ...shared, entropy: gpu.empty([tokens], "f32") });
  const out = {
    loss: guarded(gpu, [tokens], "f32"),
    coefficient: guarded(gpu, [tokens], "f32"),
    ratio: guarded(gpu, [tokens], "f32"),
    dhidden: guarded(gpu, [tokens, inputs], "f32"),
    dweight: guarded(gpu, [vocabulary, inputs], "f32"),
  };
  gpu.write(out.dweight.tensor, new Float32Array(vocabulary * inputs).fill(0.5));
  const { loss, coefficient, ratio, dhidden, dweight } = out;
  return {
    head: {
      ...shared,
      weights: gpu.upload(data.weights, [tokens], "f32"),
      loss: loss.tensor,
      coefficient: coefficient.tensor,
      dhidden: dhidden.tensor,
      dweight: dweight.tensor,
    },
    ratio: ratio.tensor,
    async expectResults(want: Record<string, Float64Array>) {
      for (const [name, values] of Object.entries(want)) {
        const { tensor, expectUntouched } = out[name as keyof typeof out];
        const expected = name === "dweight" ? values.map((v) => v + 0.5) : values;
        // Subgroup matrices round hidden states and the gradient of the logits to f16's 11 bits: a logit is off by up to 2^-11 of its
        // terms' magnitudes, about ten here, and a probability by that share of itself.
        const isRounded = gpu.matrices !== null && storage === "bf16" && /^d(hidden|weight)$/.test(name);
        const tolerance = isRounded ? { rtol: 2 ** -7, atol: 4e-3 } : { rtol: 1e-5, atol: 2e-5 };
        expectClose(await gpu.readF32(tensor), expected, tolerance);
        await expectUntouched();
      }
    },
  };
}

describe.each(STORAGES)("policy gradient in %s", (storage) => {
  test.each(CASES)("$tokens x $inputs -> $vocabulary, $klEstimator", async (shape) => {
    const gpu = await testGpu();
    const { tokens, klEstimator } = shape;
    const data = inputsOf(shape, storage);
    const [hidden, weight] = [f64(data.hidden), f64(data.weight)];
    const perToken = {
      weights: f64(data.weights),
      advantages: f64(data.advantages),
      oldLogprobs: f64(data.oldLogprobs),
      refLogprobs: f64(data.refLogprobs),
    };
    const want = twin.policyGradientLoss({ logprob: data.logprob, ...perToken, ...options, klEstimator });
    const wantGrad = twin.headBackward({
      ...shape,
      hidden,
      weight,
      targets: data.targets,
      coefficient: want.coefficient,
    });

    const { head, ratio, expectResults } = headOf(gpu, shape, data, storage);
    const upload = (values: Float32Array) => gpu.upload(values, [tokens], "f32");
    policyGradient(gpu.recorder(), {
      ...head,
      advantages: upload(data.advantages),
      oldLogprobs: upload(data.oldLogprobs),
      refLogprobs: upload(data.refLogprobs),
      ratio,
      ...options,
      klEstimator,
    });
    await expectResults({ ...want, ...wantGrad });
  });

  const KNOBS = [
    { name: "clip higher", epsilonHigh: 0.35 },
    { name: "dual clip", delta: 1.1 },
    { name: "CISPO", cispo: true, epsilonHigh: 1.1 },
    { name: "CISPO under its default cap", cispo: true },
    { name: "PPO", epsilonHigh: undefined },
  ];
  // Sequences of one token, of more than a workgroup's lanes, and one without a trained token.
  const SEQUENCES = [undefined, Uint32Array.of(0, 1, 132, 133, 141, 150)];
  test.each(KNOBS.flatMap((knobs) => SEQUENCES.map((sequences) => ({ ...knobs, sequences }))))(
    "$name with a ratio for each of $sequences",
    async ({ name: _, sequences, ...knobs }) => {
      const gpu = await testGpu();
      const shape: Case = { tokens: 150, inputs: 6, vocabulary: 37, temperature: 0.8, klEstimator: "k3" };
      const data = inputsOf(shape, storage);
      data.weights.fill(0, 132, 133);
      const perToken = {
        weights: f64(data.weights),
        advantages: f64(data.advantages),
        oldLogprobs: f64(data.oldLogprobs),
        refLogprobs: f64(data.refLogprobs),
      };
      const want = twin.policyGradientLoss({
        logprob: data.logprob,
        ...perToken,
        ...options,
        ...knobs,
        sequences,
        klEstimator: "k3",
      });
      const wantGrad = twin.headBackward({
        ...shape,
        hidden: f64(data.hidden),
        weight: f64(data.weight),
        targets: data.targets,
        coefficient: want.coefficient,
      });
      const { head, ratio, expectResults } = headOf(gpu, shape, data, storage);
      const upload = (values: Float32Array) => gpu.upload(values, [shape.tokens], "f32");
      policyGradient(gpu.recorder(), {
        ...head,
        advantages: upload(data.advantages),
        oldLogprobs: upload(data.oldLogprobs),
        refLogprobs: upload(data.refLogprobs),
        ratio,
        sequences: sequences && gpu.upload(sequences, [sequences.length], "u32"),
        ...options,
        ...knobs,
        klEstimator: "k3",
      });
      await expectResults({ ...want, ...wantGrad });
    },
  );

  // Pairs of one token and of more than a workgroup's lanes; prompts in front.
  test.each([
    { lengths: [2, 2], beta: 0.1, gamma: 0 },
    { lengths: [9, 5, 3, 12], beta: 2, gamma: 0.7 },
    { lengths: [70, 131, 4, 3, 40, 7], beta: 0.5, gamma: 0 },
  ])("preferences of responses of $lengths tokens, by $gamma", async ({ lengths, beta, gamma }) => {
    const gpu = await testGpu();
    const tokens = lengths.reduce((a, b) => a + b, 0);
    const shape: Case = { tokens, inputs: 6, vocabulary: 37, temperature: 1, klEstimator: "none" };
    const data = inputsOf(shape, storage);
    const bounds = new Uint32Array(lengths.length + 1);
    lengths.forEach((length, s) => (bounds[s + 1] = bounds[s]! + length));
    const pairWeight = 2 / lengths.length;
    const weights = Float32Array.from({ length: tokens }, (_, t) => (bounds.includes(t) ? 0 : 1 / (1 + (t % 3))));
    const { refLogprobs } = data;
    const want = twin.preferenceLoss({
      logprob: data.logprob,
      refLogprobs: f64(refLogprobs),
      weights: f64(weights),
      bounds,
      beta,
      gamma,
      pairWeight,
    });
    const wantGrad = twin.headBackward({
      ...shape,
      hidden: f64(data.hidden),
      weight: f64(data.weight),
      targets: data.targets,
      coefficient: want.coefficient,
    });
    const { head, expectResults } = headOf(gpu, shape, { ...data, weights }, storage);
    const margin = guarded(gpu, [lengths.length / 2], "f32");
    preferenceGradient(gpu.recorder(), {
      ...head,
      refLogprobs: gpu.upload(refLogprobs, [tokens], "f32"),
      bounds: gpu.upload(bounds, [bounds.length], "u32"),
      margin: margin.tensor,
      beta,
      gamma,
      pairWeight,
    });
    expectClose(await gpu.readF32(margin.tensor), want.margin, { rtol: 1e-5, atol: 1e-4 });
    await margin.expectUntouched();
    await expectResults({ loss: want.loss, coefficient: want.coefficient, ...wantGrad });
  });

  test("cross-entropy", async () => {
    const gpu = await testGpu();
    const shape = CASES[2]!;
    const data = inputsOf(shape, storage);
    const want = twin.crossEntropyLoss({ logprob: data.logprob, weights: f64(data.weights) });
    const wantGrad = twin.headBackward({
      ...shape,
      hidden: f64(data.hidden),
      weight: f64(data.weight),
      targets: data.targets,
      coefficient: want.coefficient,
    });
    const { head, expectResults } = headOf(gpu, shape, data, storage);
    crossEntropyGradient(gpu.recorder(), head);
    await expectResults({ ...want, ...wantGrad });
  });
});

/** The per-token loss on given log-probabilities, through a head of two tokens. */
async function lossOf(
  logprob: number[],
  rest: { weights: number[]; advantages: number[]; old: number[]; ref: number[] },
) {
  const gpu = await testGpu();
  const tokens = logprob.length;
  const upload = (values: number[]) => gpu.upload(Float32Array.from(values), [tokens], "f32");
  const empty = (...shape: number[]) => gpu.zeros(shape, "f32");
  const tensors = {
    hidden: empty(tokens, 2),
    weight: empty(2, 2),
    targets: gpu.zeros([tokens], "u32"),
    logprob: upload(logprob),
    lse: empty(tokens),
    temperature: 1,
    weights: upload(rest.weights),
    advantages: upload(rest.advantages),
    oldLogprobs: upload(rest.old),
    refLogprobs: upload(rest.ref),
    loss: empty(tokens),
    ratio: empty(tokens),
    coefficient: empty(tokens),
    dhidden: empty(tokens, 2),
    dweight: empty(2, 2),
  };
  policyGradient(gpu.recorder(), { ...tensors, epsilon: 0.2, beta: 0.5, klEstimator: "k3" });
  const read = async (name: "loss" | "ratio" | "coefficient" | "dhidden") =>
    Array.from(await gpu.readF32(tensors[name]));
  return {
    loss: await read("loss"),
    ratio: await read("ratio"),
    coefficient: await read("coefficient"),
    dhidden: await read("dhidden"),
  };
}

test("an unchanged policy has ratio exactly 1, and no penalty against itself", async () => {
  const logprob = [-0.1, -3.3333333, -17, -0];
  const { loss, ratio, coefficient } = await lossOf(logprob, {
    weights: [1, 1, 1, 1],
    advantages: [0.5, -2, 1, 1],
    old: logprob,
    ref: logprob,
  });
  expect(ratio).toEqual([1, 1, 1, 1]);
  expect(loss).toEqual([-0.5, 2, -1, -1]);
  expect(coefficient).toEqual([-0.5, 2, -1, -1]);
});

test("tokens of weight 0 count nothing, whatever their other inputs hold", async () => {
  const { loss, ratio, coefficient, dhidden } = await lossOf([-1, NaN, -1], {
    weights: [0, 0, 0],
    advantages: [1, 1, Infinity],
    old: [-1e9, 0, 0],
    ref: [1e9, 0, NaN],
  });
  expect({ loss, ratio, coefficient }).toEqual({ loss: [0, 0, 0], ratio: [1, 1, 1], coefficient: [0, 0, 0] });
  expect(dhidden).toEqual([0, 0, 0, 0, 0, 0]);
});

test("a vocabulary of 151,936 and 4,096 tokens take no buffer larger than 256 MB beyond inputs and outputs", () => {
  const made: number[] = [];
  const gpu = planningGpu({ onBuffer: (size) => made.push(size) });
  const [tokens, width, vocabulary] = [4096, 1536, 151_936];
  const perToken = () => gpu.empty([tokens], "f32");
  const head = {
    hidden: gpu.empty([tokens, width], "f32"),
    weight: gpu.empty([vocabulary, width], "bf16"),
    targets: gpu.empty([tokens], "u32"),
    logprob: perToken(),
    lse: perToken(),
    temperature: 1,
  };
  const rest = {
    weights: perToken(),
    loss: perToken(),
    coefficient: perToken(),
    dhidden: gpu.empty([tokens, width], "f32"),
    dweight: gpu.empty([vocabulary, width], "f32"),
    advantages: perToken(),
    oldLogprobs: perToken(),
    refLogprobs: perToken(),
    ratio: perToken(),
  };
  const entropy = perToken();
  const given = made.length;
  logprobForward(gpu.recorder(), { ...head, entropy });
  policyGradient(gpu.recorder(), { ...head, ...rest, epsilon: 0.2, beta: 0, klEstimator: "none" });
  const largest = Math.max(...made.slice(given));
  // One chunk of the logits.
  expect(largest).toBe(tokens * VOCAB_CHUNK * 4);
  expect(largest).toBeLessThan(256e6);
});

test("shapes that do not fit are named", async () => {
  const gpu = await testGpu();
  const shape = CASES[0]!;
  const { head } = headOf(gpu, shape, inputsOf(shape, "f32"), "f32");
  expect(() => crossEntropyGradient(gpu.recorder(), { ...head, weights: gpu.zeros([2], "f32") })).toThrow(
    /cross_entropy_gradient.*weights \[2\]/,
  );
  expect(() => crossEntropyGradient(gpu.recorder(), { ...head, dweight: gpu.zeros([2, 2], "f32") })).toThrow(
    ShapeError,
  );
});
