import {
  linearBackwardBias,
  linearBackwardInput,
  linearBackwardWeight,
  linearForward,
  linearLogits,
  linearSwiglu,
} from "../../kernels/linear.ts";
import { VOCAB_CHUNK } from "../../kernels/logprob.ts";
import { elem, f32, kernelCase, type KernelCase, type KernelShape } from "../kernel-case.ts";

/** A layer's products: the queries' projection, the smaller one of keys and values, the MLP's; and the head's. */
export function linearCases({ config, storage, rows }: KernelShape): KernelCase[] {
  const { hiddenSize: C, intermediateSize: I, numHeads, numKvHeads, headDim, vocabSize } = config;
  const [queries, keys] = [numHeads * headDim, numKvHeads * headDim];
  const products = [
    { outputs: queries, inputs: C },
    { outputs: keys, inputs: C },
    { outputs: C, inputs: I },
  ];
  // The engine samples from all logits at once; training never has more than a chunk.
  const vocabulary = rows <= 256 ? vocabSize : Math.min(vocabSize, VOCAB_CHUNK);
  return [
    ...products.map((product) => forward({ ...product, rows, storage })),
    swiglu({ outputs: I, inputs: C, rows, storage }),
    logits({ outputs: vocabulary, inputs: C, rows, storage }),
    backwardInput({ outputs: I, inputs: C, rows, storage }),
    backwardWeight({ outputs: I, inputs: C, rows, storage }),
    backwardBias(rows, queries),
  ];
}

export interface Product extends Pick<KernelShape, "rows" | "storage"> {
  inputs: number;
  outputs: number;
}

const named = ({ rows, inputs, outputs, storage }: Product) => ({
  shape: `${rows} x ${inputs} x ${outputs}`,
  storage,
  flops: 2 * rows * inputs * outputs,
});

export const forward = (product: Product): KernelCase =>
  kernelCase({
    kernel: "linear_forward",
    ...named(product),
    tensors: {
      x: f32(product.rows, product.inputs),
      weight: elem(product.storage, product.outputs, product.inputs),
      y: f32(product.rows, product.outputs),
    },
    record: linearForward,
  });

export function swiglu(product: Product): KernelCase {
  const { rows, inputs, outputs, storage } = product;
  const named2 = named({ ...product, outputs: 2 * outputs });
  return kernelCase({
    kernel: "linear_swiglu",
    ...named2,
    tensors: {
      x: f32(rows, inputs),
      gateWeight: elem(storage, outputs, inputs),
      upWeight: elem(storage, outputs, inputs),
      gate: elem(storage, rows, outputs),
      up: elem(storage, rows, outputs),
      y: f32(rows, outputs),
    },
    record: linearSwiglu,
  });
}

export const logits = (product: Product): KernelCase =>
  kernelCase({
    kernel: "linear_logits",
    ...named(product),
    tensors: {
      x: f32(product.rows, product.inputs),
      weight: elem(product.storage, product.outputs, product.inputs),
      logits: f32(product.rows, product.outputs),
    },
    record: (rec, tensors) => linearLogits(rec, { ...tensors, row0: 0, rows: product.outputs }),
  });

export const backwardInput = (product: Product): KernelCase =>
  kernelCase({
    kernel: "linear_backward_input",
    ...named(product),
    tensors: {
      dy: f32(product.rows, product.outputs),
      weight: elem(product.storage, product.outputs, product.inputs),
      dx: f32(product.rows, product.inputs),
    },
    record: (rec, tensors) => linearBackwardInput(rec, { ...tensors, accumulate: false }),
  });

export function backwardWeight(product: Product): KernelCase {
  const { rows, inputs, outputs, storage } = product;
  return kernelCase({
    kernel: "linear_backward_weight",
    ...named(product),
    bytes: 4 * (rows * (inputs + outputs) + 2 * inputs * outputs), // dweight is added to
    tensors: { x: f32(rows, inputs), dy: f32(rows, outputs), dweight: f32(outputs, inputs) },
    record: (rec, tensors) => linearBackwardWeight(rec, { ...tensors, storage }),
  });
}

const backwardBias = (rows: number, outputs: number): KernelCase =>
  kernelCase({
    kernel: "linear_backward_bias",
    shape: `${rows} x ${outputs}`,
    tensors: { dy: f32(rows, outputs), dbias: f32(outputs) },
    record: linearBackwardBias,
  });
