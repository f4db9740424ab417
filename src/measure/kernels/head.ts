import { linearLogits } from "../../kernels/linear.ts";
import { logprobForward } from "../../kernels/logprob.ts";
import { policyGradient } from "../../kernels/policy-gradient.ts";
import { logNormalizers, sampleTokens } from "../../kernels/sample.ts";
import { elem, f32, kernelCase, u32, type KernelCase, type KernelShape } from "../kernel-case.ts";

/** What happens at the head, over the whole vocabulary: log-probabilities, the policy's gradient, sampling. */
export const headCases = (shape: KernelShape): KernelCase[] => [
  logprob(shape),
  gradient(shape),
  decode(shape),
  sample(shape, { topP: 1 }),
  sample(shape, { topP: 0.95 }),
];

const name = ({ config, rows }: KernelShape) => `${rows} x ${config.hiddenSize} x ${config.vocabSize}`;
const product = ({ config, rows }: KernelShape) => 2 * rows * config.hiddenSize * config.vocabSize;

function shared({ config, storage, rows }: KernelShape) {
  const { hiddenSize, vocabSize } = config;
  return {
    hidden: f32(rows, hiddenSize),
    weight: elem(storage, vocabSize, hiddenSize),
    targets: u32(Uint32Array.from({ length: rows }, (_, i) => (i * 7919) % vocabSize)),
    logprob: f32(rows),
    lse: f32(rows),
  };
}

const logprob = (shape: KernelShape): KernelCase =>
  kernelCase({
    kernel: "logprob_forward",
    shape: name(shape),
    storage: shape.storage,
    flops: product(shape),
    tensors: { ...shared(shape), entropy: f32(shape.rows) },
    record: (rec, t) => logprobForward(rec, { ...t, temperature: 1 }),
  });

/** The logits again, and their gradient's products with weight and hidden states. */
function gradient(shape: KernelShape): KernelCase {
  const { rows, config } = shape;
  const perToken = () => f32(rows);
  return kernelCase({
    kernel: "policy_gradient",
    shape: name(shape),
    storage: shape.storage,
    flops: 3 * product(shape),
    tensors: {
      ...shared(shape),
      weights: perToken(),
      advantages: perToken(),
      oldLogprobs: perToken(),
      refLogprobs: perToken(),
      loss: perToken(),
      ratio: perToken(),
      coefficient: perToken(),
      dhidden: f32(rows, config.hiddenSize),
      dweight: f32(config.vocabSize, config.hiddenSize),
    },
    record: (rec, t) => policyGradient(rec, { ...t, temperature: 1, epsilon: 0.2, beta: 0, klEstimator: "none" }),
  });
}

function decode(shape: KernelShape): KernelCase {
  const { hidden, weight } = shared(shape);
  return kernelCase({
    kernel: "decode_logits",
    shape: name(shape),
    storage: shape.storage,
    flops: product(shape),
    tensors: { hidden, weight, logits: f32(shape.rows, shape.config.vocabSize) },
    record: (rec, { hidden: x, weight: head, logits }) => {
      linearLogits(rec, { x, weight: head, row0: 0, rows: shape.config.vocabSize, logits });
      rec.gpu.release(logNormalizers(rec, { logits, temperature: 0.7 }));
    },
  });
}

function sample({ rows, config }: KernelShape, { topP }: { topP: number }): KernelCase {
  const zeros = () => u32(new Uint32Array(rows));
  return kernelCase({
    kernel: topP < 1 ? "sample, top-p" : "sample",
    shape: `${rows} x ${config.vocabSize}`,
    tensors: {
      logits: f32(rows, config.vocabSize),
      lse: f32(rows),
      keys: u32(new Uint32Array(4 * rows), [rows, 4]),
      limits: u32(new Uint32Array(rows).fill(2 ** 31)),
      stops: u32(Uint32Array.of(0xffffffff)),
      tokens: zeros(),
      positions: zeros(),
      done: zeros(),
      outTokens: u32(new Uint32Array(rows), [1, rows]),
      outLogprobs: f32(1, rows),
    },
    record: (rec, t) => sampleTokens(rec, { ...t, temperature: 1, topK: 0, topP, step: 0 }),
  });
}
