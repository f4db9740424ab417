import type { ImportanceSamplingLevel } from "../core/ratio.ts";
import type { Gpu } from "../gpu/gpu.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { linkOccurrences } from "../kernels/embedding.ts";
import { logprobForward } from "../kernels/logprob.ts";
import {
  crossEntropyGradient,
  policyGradient as policyGradientKernel,
  preferenceGradient as preferenceGradientKernel,
  type ClipOptions,
  type HeadTensors,
  type KlEstimator,
} from "../kernels/policy-gradient.ts";
import { releaseBatch, toRows, toTokens, uploadBatch, type Batch, type PackedBatch } from "../model/batch.ts";
import { deviceOf, EMBEDDING, type Model } from "../model/model.ts";
import { backward, forward, forwardWithTrace } from "../model/transformer.ts";
import { readRecorded, type Recorded } from "./recorded.ts";

/** Gradients f32 of the trained parameters by name, added to by every micro-batch until the optimizer clears them. */
export type Gradients = ReadonlyMap<string, Tensor>;

/** Per-token targets of the policy gradient, f32 [T], index t speaking of token t. */
export interface PolicyTargets {
  /** Share of the token in the loss: 0 for prompts, otherwise what the aggregation says. */
  weights: Float32Array;
  advantages: Float32Array;
  /** log p of the tokens under the policy that sampled them. */
  oldLogprobs: Float32Array;
  /** Under the reference policy; needed for a KL term in the loss only. */
  refLogprobs?: Float32Array;
}

export interface PolicyLossOptions extends ClipOptions {
  /** Whether a token has its own ratio, or a response has one (GSPO). Default "token". */
  importanceSamplingLevel?: ImportanceSamplingLevel | undefined;
  /** Coefficient of the KL term inside the loss; 0 where KL is part of the reward. */
  beta: number;
  klEstimator: KlEstimator;
  temperature: number;
  /** Activation recomputation. */
  recompute: boolean;
}

/** Per-token results, f32 [T]; 0 at a sequence's first token. */
export interface TokenLogprobs {
  logprobs: Float32Array;
  /** Entropy of the distribution that the token was drawn from, in nats. */
  entropy: Float32Array;
}

/** log p(token t | its own sequence's prefix) at `temperature`. */
export async function tokenLogprobs(
  model: Model,
  packed: PackedBatch,
  { temperature }: { temperature: number },
): Promise<TokenLogprobs> {
  return readRecorded(model.gpu, await recordLogprobs(model, packed, { temperature }));
}

// What follows is recorded as part of the job `gpu`, and not waited for but where layers are on several devices.

/** The same as tokenLogprobs. */
export async function recordLogprobs(
  model: Model,
  packed: PackedBatch,
  { temperature }: { temperature: number },
  gpu: Gpu = model.gpu,
): Promise<Recorded<TokenLogprobs>> {
  const batch = uploadBatch(gpu, packed, model.config.vocabSize);
  const hidden = await forward(gpu, model, batch);
  const { logprob: logprobs, entropy, lse } = headLogprobs(gpu, model, hidden, batch, temperature);
  gpu.release(hidden, lse);
  releaseBatch(batch);
  return perToken(gpu, packed, { logprobs, entropy });
}

/** Adds the gradient of the clipped policy loss to `grads`. The sum of `loss`, which includes the weights, is the loss. */
export async function policyGradient(
  model: Model,
  grads: Gradients,
  packed: PackedBatch,
  targets: PolicyTargets,
  { temperature, recompute, importanceSamplingLevel = "token", ...loss }: PolicyLossOptions,
  gpu: Gpu = model.gpu,
): Promise<Recorded<TokenLogprobs & { ratio: Float32Array; loss: Float32Array }>> {
  const rows = (values: Float32Array) => gpu.upload(toRows(values, packed.cuSeqlens), [values.length], "f32");
  const inputs = {
    weights: rows(targets.weights),
    advantages: rows(targets.advantages),
    oldLogprobs: rows(targets.oldLogprobs),
    refLogprobs: rows(targets.refLogprobs ?? targets.oldLogprobs),
  };
  const ratio = gpu.empty([packed.tokenIds.length], "f32");
  const sequences =
    importanceSamplingLevel === "sequence" ? gpu.upload(packed.cuSeqlens, [packed.cuSeqlens.length], "u32") : undefined;
  const results = await headGradient(gpu, model, grads, packed, temperature, recompute, (shared) =>
    policyGradientKernel(gpu.recorder(), { ...loss, ...shared, ...inputs, ratio, sequences }),
  );
  gpu.release(...Object.values(inputs), ...(sequences ? [sequences] : []));
  return perToken(gpu, packed, { ...results, ratio });
}

/** Adds the gradient of the weighted cross-entropy, sum of -weights[t] log p(token t), to `grads`. */
export async function supervisedGradient(
  model: Model,
  grads: Gradients,
  packed: PackedBatch,
  weights: Float32Array,
  { recompute }: { recompute: boolean },
  gpu: Gpu = model.gpu,
): Promise<Recorded<TokenLogprobs & { loss: Float32Array }>> {
  const rowWeights = gpu.upload(toRows(weights, packed.cuSeqlens), [weights.length], "f32");
  const results = await headGradient(gpu, model, grads, packed, 1, recompute, (shared) =>
    crossEntropyGradient(gpu.recorder(), { ...shared, weights: rowWeights }),
  );
  gpu.release(rowWeights);
  return perToken(gpu, packed, results);
}

/**
 * Adds the gradient of a preference loss to `grads`: sequences 2p and 2p + 1 are pair p's chosen and rejected response. `weights`
 * f32 [T] are the shares of response tokens in their response's log-probability, `refLogprobs` f32 [T] the reference's. The sum of
 * `loss` is the loss; margins are one a pair.
 */
export async function preferenceGradient(
  model: Model,
  grads: Gradients,
  packed: PackedBatch,
  { weights, refLogprobs }: { weights: Float32Array; refLogprobs: Float32Array },
  { recompute, ...loss }: { beta: number; gamma: number; pairWeight: number; recompute: boolean },
  gpu: Gpu = model.gpu,
): Promise<Recorded<TokenLogprobs & { loss: Float32Array; margins: Float32Array }>> {
  const rows = (values: Float32Array) => gpu.upload(toRows(values, packed.cuSeqlens), [values.length], "f32");
  const inputs = { weights: rows(weights), refLogprobs: rows(refLogprobs) };
  const bounds = gpu.upload(packed.cuSeqlens, [packed.cuSeqlens.length], "u32");
  const margin = gpu.empty([(packed.cuSeqlens.length - 1) / 2], "f32");
  const results = await headGradient(gpu, model, grads, packed, 1, recompute, (shared) =>
    preferenceGradientKernel(gpu.recorder(), { ...shared, ...inputs, bounds, margin, ...loss }),
  );
  gpu.release(...Object.values(inputs), bounds);
  const { tensors, result } = perToken(gpu, packed, results);
  return {
    tensors: [margin, ...tensors],
    result: ([margins, ...values]) => {
      gpu.release(margin);
      return { ...result(values), margins: margins! };
    },
  };
}

/** Forward, `loss` at the head, backward: what all the losses have in common. Leaves f32 [T] tensors, a row each. */
async function headGradient(
  gpu: Gpu,
  model: Model,
  grads: Gradients,
  packed: PackedBatch,
  temperature: number,
  recompute: boolean,
  recordLoss: (shared: Omit<HeadTensors, "weights">) => void,
): Promise<Record<keyof TokenLogprobs | "loss", Tensor>> {
  const count = packed.tokenIds.length;
  const batch = uploadBatch(gpu, packed, model.config.vocabSize);
  const links = deviceOf(gpu, model.config, EMBEDDING).upload(linkOccurrences(packed.tokenIds), [count], "u32");
  const trace = await forwardWithTrace(gpu, model, batch, { recompute });
  const { targets } = headBatch(gpu, model, batch);
  const { logprob, lse, entropy } = headLogprobs(gpu, model, trace.hidden, batch, temperature);
  const loss = gpu.empty([count], "f32");
  const coefficient = gpu.empty([count], "f32");
  const dhidden = gpu.empty(trace.hidden.shape, "f32");
  recordLoss({
    hidden: trace.hidden,
    weight: model.parameter(model.headName),
    targets,
    logprob,
    lse,
    temperature,
    loss,
    coefficient,
    dhidden,
    dweight: grads.get(model.headName),
  });
  await backward(gpu, model, batch, trace, dhidden, grads, links);
  gpu.release(lse, coefficient, links);
  releaseBatch(batch);
  return { logprobs: logprob, entropy, loss };
}

/** The batch where the head is. */
const headBatch = (gpu: Gpu, { config, headName }: Model, batch: Batch) => batch.get(deviceOf(gpu, config, headName))!;

function headLogprobs(gpu: Gpu, model: Model, hidden: Tensor, batch: Batch, temperature: number) {
  const { targets } = headBatch(gpu, model, batch);
  const rows = hidden.shape[0]!;
  const head = { logprob: gpu.empty([rows], "f32"), lse: gpu.empty([rows], "f32"), entropy: gpu.empty([rows], "f32") };
  logprobForward(gpu.recorder(), { hidden, weight: model.parameter(model.headName), targets, temperature, ...head });
  return head;
}

/** Tensors f32 [T] with a value a row, to be read as values per token. */
function perToken<K extends string>(
  gpu: Gpu,
  { cuSeqlens }: PackedBatch,
  rows: Record<K, Tensor>,
): Recorded<Record<K, Float32Array>> {
  const names = Object.keys(rows) as K[];
  const tensors = names.map((name) => rows[name]);
  return {
    tensors,
    result: (values) => {
      gpu.release(...tensors);
      const entries = names.map((name, i) => [name, toTokens(values[i]!, cuSeqlens)]);
      return Object.fromEntries(entries) as Record<K, Float32Array>;
    },
  };
}
