import { planningGpu } from "../gpu/planning-gpu.ts";
import type { DType } from "../gpu/tensor.ts";
import type { KernelTraits } from "../gpu/workspace.ts";
import {
  linearBackwardInput,
  linearBackwardWeight,
  linearForward,
  linearLogits,
  linearSwiglu,
} from "../kernels/linear.ts";
import type { ModelConfig } from "../model/config.ts";

/** Rows that tell the choices apart: a sequence that is decoded, many of them, a micro-batch. */
export const ROWS = [1, 64, 4096] as const;

/** Rows of the vocabulary that are multiplied at a time. */
const CHUNK = 8192;

/** What a product [M, K, N] is computed by, for each M of ROWS. */
export interface ProductChoice {
  product: string;
  inputs: number;
  outputs: number;
  /** Kernel and workgroups, across and down the result. */
  choices: string[];
}

/**
 * Which kernel each product of a model's layers takes on an adapter: the products are recorded on a device of its kind that computes
 * nothing, so it is the choice that is made there.
 */
export function productChoices(like: KernelTraits, config: ModelConfig, storage: DType): ProductChoice[] {
  let choice = "";
  const onKernel: NonNullable<Parameters<typeof planningGpu>[0]>["onKernel"] = (kernel, entryPoint, { workgroups }) => {
    if (entryPoint === product) choice = `${kernel.name} ${workgroups.join(" x ")}`;
  };
  const gpu = planningGpu({ onKernel }, like);
  const rec = gpu.recorder();
  const { hiddenSize: K, intermediateSize: I, vocabSize } = config;
  const of = (...shape: number[]) => gpu.empty(shape, "f32");
  const weight = (...shape: number[]) => gpu.empty(shape, storage);
  const V = Math.min(CHUNK, vocabSize);
  const products: readonly [name: string, inputs: number, outputs: number, record: (rows: number) => void][] = [
    ["linear_forward", K, K, (M) => linearForward(rec, { x: of(M, K), weight: weight(K, K), y: of(M, K) })],
    [
      "linear_swiglu",
      K,
      2 * I,
      (M) => linearSwiglu(rec, { x: of(M, K), gateWeight: weight(I, K), upWeight: weight(I, K), y: of(M, I) }),
    ],
    [
      "linear_logits",
      K,
      V,
      (M) => linearLogits(rec, { x: of(M, K), weight: weight(V, K), row0: 0, rows: V, logits: of(M, V) }),
    ],
    [
      "linear_backward_input",
      I,
      K,
      (M) => linearBackwardInput(rec, { dy: of(M, K), weight: weight(K, I), dx: of(M, I), accumulate: false }),
    ],
    [
      "linear_backward_weight",
      I,
      K,
      (M) => linearBackwardWeight(rec, { x: of(M, I), dy: of(M, K), dweight: of(K, I), storage }),
    ],
  ];
  let product = "";
  return products.map(([name, inputs, outputs, record]) => {
    product = name;
    const choices = ROWS.map((rows) => {
      record(rows);
      return choice;
    });
    return { product, inputs, outputs, choices };
  });
}
