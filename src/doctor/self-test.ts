import { packBf16, unpackBf16 } from "../gpu/bf16.ts";
import type { Gpu } from "../gpu/gpu.ts";
import type { Storage, Tensor } from "../gpu/tensor.ts";
import { adamwStep } from "../kernels/adamw.ts";
import { attentionBackward, attentionForward, attentionPaged } from "../kernels/attention.ts";
import { embeddingBackward, embeddingForward, linkOccurrences } from "../kernels/embedding.ts";
import { globalNorm, partialSums } from "../kernels/grad-norm.ts";
import { kvCacheWrite } from "../kernels/kv-cache.ts";
import {
  linearBackwardBias,
  linearBackwardInput,
  linearBackwardWeight,
  linearForward,
  linearLogits,
} from "../kernels/linear.ts";
import { logprobForward } from "../kernels/logprob.ts";
import { crossEntropyGradient, policyGradient } from "../kernels/policy-gradient.ts";
import { rmsnormBackward, rmsnormForward } from "../kernels/rmsnorm.ts";
import { ropeBackward, ropeForward } from "../kernels/rope.ts";
import { logNormalizers, sampleTokens } from "../kernels/sample.ts";
import { swigluBackward, swigluForward } from "../kernels/swiglu.ts";
import { normalAt } from "../model/init.ts";
import * as adamwTwin from "../reference/adamw.ts";
import * as attentionTwin from "../reference/attention.ts";
import * as embeddingTwin from "../reference/embedding.ts";
import * as gradNormTwin from "../reference/grad-norm.ts";
import * as linearTwin from "../reference/linear.ts";
import * as logprobTwin from "../reference/logprob.ts";
import * as policyTwin from "../reference/policy-gradient.ts";
import * as rmsnormTwin from "../reference/rmsnorm.ts";
import * as ropeTwin from "../reference/rope.ts";
import * as sampleTwin from "../reference/sample.ts";
import * as swigluTwin from "../reference/swiglu.ts";
import { relativeL2 } from "../verify/check.ts";

export interface KernelResult {
  kernel: string;
  /** Relative L2 error against the float64 twin, and its limit, of the output that comes nearest to it. */
  error: number;
  limit: number;
  pass: boolean;
}

const LIMIT = 1e-5;
/** Of an output that is stored in bf16: its rounding is up to 2^-9 of a number. */
const BF16_LIMIT = 4e-3;
/** Of a gradient that subgroup matrices compute: they round operands to 11 bits, and it may be a small difference. */
const MATRIX_LIMIT = 4e-3;
/** What has such products in it, for weights, keys and values in bf16. */
const WITH_PRODUCTS = ["linear", "attention", "policy gradient", "cross-entropy"];

/** Inputs and outputs of one test: tensors that are released after it, and pairs of what came and what should have. */
class Bench {
  readonly gpu: Gpu;
  readonly storage: Storage;
  readonly #tensors: Tensor[] = [];
  readonly #outputs: { tensor: Tensor; want: ArrayLike<number>; limit: number }[] = [];
  readonly #limit: number;
  #stream = 0;

  constructor(gpu: Gpu, storage: Storage, limit: number) {
    this.gpu = gpu;
    this.storage = storage;
    this.#limit = limit;
  }

  /** Normal numbers as the tensor really holds them. */
  input(shape: number[], storage: Storage | "f32" = this.storage): { tensor: Tensor; values: Float64Array } {
    const stream = this.#stream++;
    const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => normalAt(1, stream, i));
    const tensor = this.keep(this.gpu.upload(data, shape, storage));
    return { tensor, values: Float64Array.from(storage === "bf16" ? unpackBf16(packBf16(data)) : data) };
  }

  indices(values: readonly number[], shape = [values.length]): Tensor {
    return this.keep(this.gpu.upload(Uint32Array.from(values), shape, "u32"));
  }

  output(shape: number[], storage: Storage | "f32" = this.storage): Tensor {
    return this.keep(this.gpu.zeros(shape, storage));
  }

  scratch(shape: number[], dtype: "f32" | "u32" = "f32"): Tensor {
    return this.keep(this.gpu.zeros(shape, dtype));
  }

  expect(tensor: Tensor, want: ArrayLike<number>): void {
    this.#outputs.push({ tensor, want, limit: tensor.dtype === "bf16" ? BF16_LIMIT : this.#limit });
  }

  keep(tensor: Tensor): Tensor {
    this.#tensors.push(tensor);
    return tensor;
  }

  async worst(): Promise<{ error: number; limit: number }> {
    let worst = { error: 0, limit: this.#limit };
    for (const { tensor, want, limit } of this.#outputs) {
      const got = tensor.dtype === "u32" ? await this.gpu.readU32(tensor) : await this.gpu.readF32(tensor);
      const error = relativeL2(got, want);
      if (!(error / limit <= worst.error / worst.limit)) worst = { error, limit };
    }
    this.gpu.release(...this.#tensors);
    return worst;
  }
}

const ROWS = 13;
const WIDTH = 24;

/** Kernel by kernel, forward and backward, on shapes that are no multiple of any tile. */
const TESTS: Record<string, (bench: Bench) => void> = {
  embedding(b) {
    const ids = [3, 0, 3, 6, 1, 3, 6, 2, 2, 0, 5, 4, 3];
    const [weight, dout] = [b.input([7, WIDTH]), b.input([ROWS, WIDTH], "f32")];
    const [out, dweight] = [b.output([ROWS, WIDTH], "f32"), b.output([7, WIDTH], "f32")];
    const rec = b.gpu.recorder();
    embeddingForward(rec, { ids: b.indices(ids), weight: weight.tensor, out });
    const links = b.keep(b.gpu.upload(linkOccurrences(Uint32Array.from(ids)), [ROWS], "u32"));
    embeddingBackward(rec, { ids: b.indices(ids), links, dout: dout.tensor, dweight });
    const shape = { ids: Uint32Array.from(ids), columns: WIDTH };
    b.expect(out, embeddingTwin.embeddingForward({ ...shape, weight: weight.values }));
    b.expect(dweight, embeddingTwin.embeddingBackward({ ...shape, dout: dout.values, vocabulary: 7 }));
  },

  rmsnorm(b) {
    const [x, weight, dy] = [b.input([ROWS, WIDTH], "f32"), b.input([WIDTH]), b.input([ROWS, WIDTH], "f32")];
    const [y, rstd] = [b.output([ROWS, WIDTH], "f32"), b.output([ROWS], "f32")];
    const [dx, dweight] = [b.output([ROWS, WIDTH], "f32"), b.output([WIDTH], "f32")];
    const tensors = { x: x.tensor, weight: weight.tensor, rstd };
    rmsnormForward(b.gpu.recorder(), { ...tensors, y, eps: 1e-6 });
    rmsnormBackward(b.gpu.recorder(), { ...tensors, dy: dy.tensor, dx, dweight, accumulate: false });
    const want = rmsnormTwin.rmsnormForward({ x: x.values, weight: weight.values, eps: 1e-6 });
    const gradients = rmsnormTwin.rmsnormBackward({
      x: x.values,
      weight: weight.values,
      rstd: want.rstd,
      dy: dy.values,
    });
    for (const [tensor, values] of [
      [y, want.y],
      [rstd, want.rstd],
      [dx, gradients.dx],
      [dweight, gradients.dweight],
    ] as const)
      b.expect(tensor, values);
  },

  linear(b) {
    const [inputs, outputs] = [WIDTH, 38];
    const [x, weight, bias, dy] = [
      b.input([ROWS, inputs], "f32"),
      b.input([outputs, inputs]),
      b.input([outputs]),
      b.input([ROWS, outputs], "f32"),
    ];
    const residual = b.input([ROWS, outputs], "f32");
    const y = b.output([ROWS, outputs], "f32");
    const [dx, dweight, dbias] = [
      b.output([ROWS, inputs], "f32"),
      b.output([outputs, inputs], "f32"),
      b.output([outputs], "f32"),
    ];
    const rec = b.gpu.recorder();
    linearForward(rec, { x: x.tensor, weight: weight.tensor, bias: bias.tensor, residual: residual.tensor, y });
    linearBackwardInput(rec, { dy: dy.tensor, weight: weight.tensor, dx, accumulate: false });
    linearBackwardWeight(rec, { x: x.tensor, dy: dy.tensor, dweight, storage: b.storage });
    linearBackwardBias(rec, { dy: dy.tensor, dbias });
    const [v, size] = [
      { x: x.values, weight: weight.values, dy: dy.values },
      { inputs, outputs },
    ];
    const product = linearTwin.linearForward({ ...v, bias: bias.values, ...size });
    b.expect(
      y,
      product.map((value, i) => residual.values[i]! + value),
    );
    b.expect(dx, linearTwin.linearBackwardInput({ ...v, ...size }));
    b.expect(dweight, linearTwin.linearBackwardWeight({ ...v, ...size }));
    b.expect(dbias, linearTwin.linearBackwardBias({ dy: dy.values, outputs }));
  },

  swiglu(b) {
    const [gate, up, dy] = [
      b.input([ROWS, WIDTH], "f32"),
      b.input([ROWS, WIDTH], "f32"),
      b.input([ROWS, WIDTH], "f32"),
    ];
    const [y, dgate, dup] = [
      b.output([ROWS, WIDTH], "f32"),
      b.output([ROWS, WIDTH], "f32"),
      b.output([ROWS, WIDTH], "f32"),
    ];
    swigluForward(b.gpu.recorder(), { gate: gate.tensor, up: up.tensor, y });
    swigluBackward(b.gpu.recorder(), { gate: gate.tensor, up: up.tensor, dy: dy.tensor, dgate, dup });
    const gradients = swigluTwin.swigluBackward({ gate: gate.values, up: up.values, dy: dy.values });
    b.expect(y, swigluTwin.swigluForward({ gate: gate.values, up: up.values }));
    b.expect(dgate, gradients.dgate);
    b.expect(dup, gradients.dup);
  },

  logprob(b) {
    const { head, values } = headInputs(b);
    logprobForward(b.gpu.recorder(), head);
    const want = logprobTwin.logprobForward(values);
    for (const name of ["logprob", "lse", "entropy"] as const) b.expect(head[name], want[name]);
  },

  "policy gradient"(b) {
    const { head, values } = headInputs(b);
    const { logprob } = logprobTwin.logprobForward(values);
    const vector = (value: (t: number) => number) =>
      Float64Array.from({ length: ROWS }, (_, t) => Math.fround(value(t)));
    const loss = {
      weights: vector((t) => (t % 4 === 0 ? 0 : 0.1)),
      advantages: vector((t) => Math.sin(3 * t)),
      oldLogprobs: vector((t) => logprob[t]! + 0.3 * Math.cos(2 * t)),
      refLogprobs: vector((t) => logprob[t]! + 0.2 * Math.sin(t)),
    };
    const upload = (data: Float64Array) => b.keep(b.gpu.upload(Float32Array.from(data), [ROWS], "f32"));
    const tensors = Object.fromEntries(Object.entries(loss).map(([name, data]) => [name, upload(data)])) as Record<
      keyof typeof loss,
      Tensor
    >;
    const outputs = headOutputs(b);
    const ratio = b.output([ROWS], "f32");
    const options = { epsilon: 0.2, beta: 0.1, klEstimator: "k3" as const };
    logprobForward(b.gpu.recorder(), head);
    policyGradient(b.gpu.recorder(), { ...head, ...tensors, ...outputs, ...options, ratio });
    const want = policyTwin.policyGradientLoss({ logprob, ...loss, ...options });
    const gradients = policyTwin.headBackward({ ...values, coefficient: want.coefficient });
    for (const [tensor, data] of [
      [outputs.loss, want.loss],
      [ratio, want.ratio],
      [outputs.dhidden, gradients.dhidden],
      [outputs.dweight, gradients.dweight],
    ] as const)
      b.expect(tensor, data);
  },

  "cross-entropy"(b) {
    const { head, values } = headInputs(b);
    const weights = Float64Array.from({ length: ROWS }, (_, t) => Math.fround(t % 3 === 0 ? 0 : 0.1));
    const outputs = headOutputs(b);
    logprobForward(b.gpu.recorder(), head);
    crossEntropyGradient(b.gpu.recorder(), {
      ...head,
      ...outputs,
      weights: b.keep(b.gpu.upload(Float32Array.from(weights), [ROWS], "f32")),
    });
    const { logprob } = logprobTwin.logprobForward(values);
    const want = policyTwin.crossEntropyLoss({ logprob, weights });
    const gradients = policyTwin.headBackward({ ...values, coefficient: want.coefficient });
    for (const [tensor, data] of [
      [outputs.loss, want.loss],
      [outputs.dhidden, gradients.dhidden],
      [outputs.dweight, gradients.dweight],
    ] as const)
      b.expect(tensor, data);
  },

  adamw(b) {
    const size = 102;
    const [param, grad, m] = [b.input([size]), b.input([size], "f32"), b.input([size], "f32")];
    const master = b.keep(b.gpu.upload(Float32Array.from(param.values), [size], "f32"));
    const v = b.keep(
      b.gpu.upload(
        Float32Array.from(m.values, (x) => x * x),
        [size],
        "f32",
      ),
    );
    const want = {
      master: param.values.slice(),
      m: m.values.slice(),
      v: Float64Array.from(m.values, (x) => Math.fround(x * x)),
    };
    const options = { learningRate: 1e-2, beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.1, step: 3 };
    const bf16 = b.storage === "bf16";
    adamwStep(b.gpu.recorder(), {
      param: bf16 ? param.tensor : master,
      master: bf16 ? master : undefined,
      m: m.tensor,
      v,
      grad: grad.tensor,
      clip: b.keep(b.gpu.upload(new Float32Array([2, 0.5]), [2], "f32")),
      ...options,
    });
    adamwTwin.adamwStep({ ...want, grad: grad.values, clip: 0.5, ...options });
    b.expect(master, want.master);
    b.expect(m.tensor, want.m);
    b.expect(v, want.v);
    if (bf16) b.expect(param.tensor, want.master);
  },

  "gradient norm"(b) {
    const grads = [b.input([7, 5], "f32"), b.input([9001], "f32")];
    const out = b.output([2], "f32");
    const partials = b.scratch([partialSums(grads.map(({ tensor }) => tensor.size))]);
    globalNorm(b.gpu.recorder(), { grads: grads.map(({ tensor }) => tensor), partials, out, maxNorm: 1 });
    b.expect(out, gradNormTwin.globalNorm({ grads: grads.map(({ values }) => values), maxNorm: 1 }));
  },

  rope(b) {
    const [q, k, table] = [b.input([5, 3, 8], "f32"), b.input([5, 1, 8], "f32"), b.input([9, 8], "f32")];
    const [dq, dk] = [b.input([5, 3, 8], "f32"), b.input([5, 1, 8], "f32")];
    const positions = [0, 8, 3, 3, 7];
    const device = { positions: b.indices(positions), table: table.tensor };
    ropeForward(b.gpu.recorder(), { q: q.tensor, k: k.tensor, ...device });
    ropeBackward(b.gpu.recorder(), { dq: dq.tensor, dk: dk.tensor, ...device });
    const want = { positions, table: table.values, headDim: 8 };
    b.expect(q.tensor, ropeTwin.ropeForward({ x: q.values, heads: 3, ...want }));
    b.expect(k.tensor, ropeTwin.ropeForward({ x: k.values, heads: 1, ...want }));
    b.expect(dq.tensor, ropeTwin.ropeBackward({ dx: dq.values, heads: 3, ...want }));
    b.expect(dk.tensor, ropeTwin.ropeBackward({ dx: dk.values, heads: 1, ...want }));
  },

  attention(b) {
    const { q, k, v, starts, ends, scale, want } = attentionInputs(b);
    const [out, lse, delta] = [
      b.output(q.tensor.shape.slice(), "f32"),
      b.output([ROWS, 4], "f32"),
      b.scratch([ROWS, 4]),
    ];
    const dout = b.input(q.tensor.shape.slice(), "f32");
    const [dq, dk, dv] = [
      b.output(q.tensor.shape.slice(), "f32"),
      b.output(k.tensor.shape.slice(), "f32"),
      b.output(k.tensor.shape.slice(), "f32"),
    ];
    const tensors = { q: q.tensor, k: k.tensor, v: v.tensor, starts, scale };
    attentionForward(b.gpu.recorder(), { ...tensors, out, lse });
    attentionBackward(b.gpu.recorder(), { ...tensors, out, dout: dout.tensor, lse, ends, delta, dq, dk, dv });
    const gradients = attentionTwin.attentionBackward({ ...want, dout: dout.values });
    b.expect(out, attentionTwin.attentionForward(want).out);
    b.expect(dq, gradients.dq);
    b.expect(dk, gradients.dk);
    b.expect(dv, gradients.dv);
  },

  "paged attention"(b) {
    const { q, k, v, scale, want } = attentionInputs(b);
    const blockSize = 4;
    const cache = () => b.keep(b.gpu.empty([6 * blockSize, 2, 8], b.storage));
    const [kCache, vCache, out] = [cache(), cache(), b.output(q.tensor.shape.slice(), "f32")];
    const paging = {
      // Two sequences, of 6 and 7 tokens, in blocks that are out of order.
      positions: b.indices(Array.from({ length: ROWS }, (_, t) => (t < 6 ? t : t - 6))),
      slots: b.indices(Array.from({ length: ROWS }, (_, t) => (t < 6 ? 0 : 1))),
      tables: b.indices([5, 2, 0, 3], [2, 2]),
      blockSize,
    };
    const f32 = ({ values }: { values: Float64Array }) =>
      b.keep(b.gpu.upload(Float32Array.from(values), [ROWS, 2, 8], "f32"));
    kvCacheWrite(b.gpu.recorder(), { k: f32(k), v: f32(v), kCache, vCache, ...paging });
    attentionPaged(b.gpu.recorder(), { q: q.tensor, kCache, vCache, out, scale, ...paging });
    b.expect(out, attentionTwin.attentionForward(want).out);
  },

  sample(b) {
    const { head, values } = headInputs(b);
    const vocabulary = values.vocabulary;
    const steps = { outTokens: b.scratch([1, ROWS], "u32"), outLogprobs: b.output([1, ROWS], "f32") };
    const keys = Array.from({ length: ROWS }, (_, r) => [7, 0, 100 + r, r % 3]);
    const logits = b.keep(b.gpu.empty([ROWS, vocabulary], "f32"));
    linearLogits(b.gpu.recorder(), { x: head.hidden, weight: head.weight, row0: 0, rows: vocabulary, logits });
    const lse = b.keep(logNormalizers(b.gpu.recorder(), { logits, temperature: head.temperature }));
    const row = (value: number) => b.indices(Array<number>(ROWS).fill(value));
    const state = { tokens: row(0), positions: row(4), done: row(0), limits: row(100), stops: b.indices([0xffffffff]) };
    sampleTokens(b.gpu.recorder(), {
      logits,
      lse,
      ...state,
      ...steps,
      keys: b.indices(keys.flat(), [ROWS, 4]),
      temperature: head.temperature,
      topK: 0,
      topP: 1,
      step: 0,
    });
    const z = linearTwin
      .linearForward({ x: values.hidden, weight: values.weight, inputs: values.inputs, outputs: vocabulary })
      .map((logit) => logit / head.temperature);
    const want = keys.map((key, r) => {
      const scores = sampleTwin.scores({
        z: z.subarray(r * vocabulary, (r + 1) * vocabulary),
        greedy: false,
        key,
        position: 4,
      });
      return sampleTwin.pickToken(scores, Array<boolean>(vocabulary).fill(true));
    });
    b.expect(steps.outTokens, want);
    b.expect(steps.outLogprobs, logprobTwin.logprobForward({ ...values, targets: want }).logprob);
  },
};

/** The head's tensors that log-probabilities and losses share, and the same for the twins. */
function headInputs(b: Bench) {
  const [inputs, vocabulary, temperature] = [WIDTH, 37, 1.25];
  const [hidden, weight] = [b.input([ROWS, inputs], "f32"), b.input([vocabulary, inputs])];
  const targets = Array.from({ length: ROWS }, (_, t) => (5 * t) % vocabulary);
  const [logprob, lse, entropy] = [b.output([ROWS], "f32"), b.output([ROWS], "f32"), b.output([ROWS], "f32")];
  return {
    head: {
      hidden: hidden.tensor,
      weight: weight.tensor,
      targets: b.indices(targets),
      temperature,
      logprob,
      lse,
      entropy,
    },
    values: { hidden: hidden.values, weight: weight.values, targets, temperature, inputs, vocabulary },
  };
}

const headOutputs = (b: Bench) => ({
  loss: b.output([ROWS], "f32"),
  coefficient: b.scratch([ROWS]),
  dhidden: b.output([ROWS, WIDTH], "f32"),
  dweight: b.output([37, WIDTH], "f32"),
});

function attentionInputs(b: Bench) {
  const [heads, kvHeads, headDim] = [4, 2, 8];
  const [q, k, v] = [
    b.input([ROWS, heads, headDim], "f32"),
    b.input([ROWS, kvHeads, headDim]),
    b.input([ROWS, kvHeads, headDim]),
  ];
  const cuSeqlens = [0, 6, ROWS];
  const scale = 1 / Math.sqrt(headDim);
  return {
    q,
    k,
    v,
    scale,
    starts: b.indices(Array.from({ length: ROWS }, (_, t) => (t < 6 ? 0 : 6))),
    ends: b.indices(Array.from({ length: ROWS }, (_, t) => (t < 6 ? 6 : ROWS))),
    want: { q: q.values, k: k.values, v: v.values, cuSeqlens, heads, kvHeads, headDim, scale },
  };
}

/** Runs every kernel on this adapter, in both storages, against its float64 twin. */
export async function* selfTest(gpu: Gpu): AsyncGenerator<KernelResult> {
  for (const storage of ["f32", "bf16"] as const) {
    for (const [name, test] of Object.entries(TESTS)) {
      const isRounded = gpu.matrices !== null && storage === "bf16" && WITH_PRODUCTS.includes(name);
      const bench = new Bench(gpu, storage, isRounded ? MATRIX_LIMIT : LIMIT);
      test(bench);
      const { error, limit } = await bench.worst();
      yield { kernel: `${name} (${storage})`, error, limit, pass: error <= limit };
    }
  }
}
