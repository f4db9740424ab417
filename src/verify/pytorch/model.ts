import { FormatError } from "../../errors.ts";
import { LLM } from "../../engine/llm.ts";
import type { Gpu } from "../../gpu/gpu.ts";
import type { Tensor } from "../../gpu/tensor.ts";
import { openWeights } from "../../hf/checkpoint.ts";
import { openSafetensors, type SafetensorsFile } from "../../hf/safetensors.ts";
import { linearLogits } from "../../kernels/linear.ts";
import type { KlEstimator } from "../../kernels/policy-gradient.ts";
import { releaseBatch, uploadBatch, type PackedBatch } from "../../model/batch.ts";
import { LoraModel } from "../../model/lora.ts";
import { mergedWeights } from "../../model/merge.ts";
import { Model, type ModelDType } from "../../model/model.ts";
import { forward } from "../../model/transformer.ts";
import type { Files } from "../../runtime/types.ts";
import { policyGradient, tokenLogprobs } from "../../train/policy.ts";
import { readRecorded } from "../../train/recorded.ts";
import { check, cosine, maxAbs, meanAbs, relativeL2, type Check } from "../check.ts";

/**
 * A folder with a model and what PyTorch computes with it (case.safetensors, ppo_*.safetensors); with an adapter, where
 * case.safetensors names one, and then with the two merged (merged.safetensors).
 */
export async function* verifyModel(
  gpu: Gpu,
  files: Files,
  dir: string,
  name: string,
  dtype: ModelDType,
): AsyncGenerator<Check> {
  const reference = await openSafetensors(files, `${dir}/case.safetensors`);
  const batch: PackedBatch = {
    tokenIds: await reference.readU32("input_ids"),
    cuSeqlens: await reference.readU32("cu_seqlens"),
  };
  const base = await Model.load(gpu, files, dir, { dtype });
  const { adapter } = reference.metadata;
  const model = adapter === undefined ? base : await LoraModel.loadAdapter(base, files, `${dir}/${adapter}`);
  const exact = dtype === "float32";
  const isAdapter = adapter !== undefined;
  try {
    const logits = await allLogits(model, batch);
    const logitsLimit = exact ? 2e-5 : pytorchError(reference, "bf16_logits_error", { isAdapter });
    yield check(`${name} logits`, relativeL2(logits, await reference.readF32("logits")), logitsLimit);

    const { logprobs } = await tokenLogprobs(model, batch, { temperature: 1 });
    const want = await reference.readF32("logprobs");
    yield exact
      ? check(`${name} logprobs`, maxAbs(logprobs, want), 1e-4)
      : check(
          `${name} logprobs`,
          meanAbs(logprobs, want),
          pytorchError(reference, "bf16_logprobs_error", { isAdapter }),
        );

    if (exact && reference.tensors.has("greedy.ids")) yield await greedyCheck(model, reference, name);
    if (adapter !== undefined) yield await mergedCheck(base, files, { dir, adapter, name, batch, limit: logitsLimit });

    for (const file of (await files.list(dir)).filter((f) => /^ppo_.*\.safetensors$/.test(f))) {
      yield* verifyLoss(
        model,
        batch,
        await openSafetensors(files, `${dir}/${file}`),
        `${name} ${file.replace(".safetensors", "")}`,
      );
    }
  } finally {
    model.dispose();
    if (model !== base) base.dispose();
  }
}

/** The logits of the base with the adapter in its weights, which are rounded to bfloat16. */
async function mergedCheck(
  { gpu, dtype, config }: Model,
  files: Files,
  {
    dir,
    adapter,
    name,
    batch,
    limit,
  }: { dir: string; adapter: string; name: string; batch: PackedBatch; limit: number },
): Promise<Check> {
  const reference = await openSafetensors(files, `${dir}/merged.safetensors`);
  const base = await openWeights(files, dir);
  const weights = await mergedWeights(base, config, files, `${dir}/${adapter}`, { dtype: "bfloat16" });
  const model = await Model.from(gpu, config, weights, { dtype, source: dir });
  const logits = await allLogits(model, batch);
  model.dispose();
  return check(`${name} merged logits`, relativeL2(logits, await reference.readF32("logits")), limit);
}

/** For references of adapters, which do not say it: the smallest of what those of whole models of these shapes say. */
const ADAPTER_ERROR: Readonly<Record<string, string>> = {
  bf16_logits_error: "0.0156",
  bf16_logprobs_error: "0.0172",
  bf16_grad_error: "0.0322",
  bf16_grad_cosine: "0.00051",
};

/** How far PyTorch's own bfloat16 is from the reference, which the file says: no error in bfloat16 may be larger. */
export function pytorchError(
  { metadata }: Pick<SafetensorsFile, "metadata">,
  name: string,
  { isAdapter = false } = {},
): number {
  const error = Number(metadata[name] ?? (isAdapter ? ADAPTER_ERROR[name] : undefined));
  if (!(error > 0)) throw new FormatError(`expected ${name} in the file's metadata, got ${metadata[name]}`);
  return error;
}

/** f32 [T * V]; the cases are small. */
async function allLogits(model: Model, packed: PackedBatch): Promise<Float32Array> {
  const { gpu } = model;
  const rec = gpu.recorder();
  const batch = uploadBatch(gpu, packed, model.config.vocabSize);
  const x = await forward(gpu, model, batch);
  const rows = model.config.vocabSize;
  const logits = gpu.empty([packed.tokenIds.length, rows], "f32");
  linearLogits(rec, { x, weight: model.parameter(model.headName), row0: 0, rows, logits });
  const values = await gpu.readF32(logits);
  gpu.release(x, logits);
  releaseBatch(batch);
  return values;
}

/** Errors are tokens that differ. */
async function greedyCheck(model: Model, reference: SafetensorsFile, name: string): Promise<Check> {
  const want = await reference.readU32("greedy.ids");
  const promptTokenIds = Array.from(await reference.readU32("greedy.prompt"));
  const llm = new LLM(model, { maxNumSeqs: 1, maxModelLen: promptTokenIds.length + want.length });
  try {
    const params = { n: 1, temperature: 0, topK: 0, topP: 1, maxTokens: want.length, seed: 0, stopTokenIds: [] };
    const [output] = await llm.generate([{ promptId: 0, promptTokenIds }], params);
    const got = output!.outputs[0]!.tokenIds;
    return check(`${name} greedy ids`, want.filter((id, i) => id !== got[i]).length, 0);
  } finally {
    llm.dispose();
  }
}

async function* verifyLoss(
  model: Model,
  batch: PackedBatch,
  reference: SafetensorsFile,
  name: string,
): AsyncGenerator<Check> {
  const { gpu } = model;
  const { aggregate, clip, kl, kl_estimator: klEstimator } = reference.metadata;
  const mask = await reference.readF32("mask");
  const grads = new Map<string, Tensor>(
    Array.from(model.trainable, ([parameter, { shape }]) => [parameter, gpu.zeros(shape, "f32")]),
  );
  try {
    const gradient = policyGradient(
      model,
      grads,
      batch,
      {
        weights: aggregationWeights(mask, batch.cuSeqlens, aggregate ?? ""),
        advantages: await reference.readF32("advantages"),
        oldLogprobs: await reference.readF32("old_logprobs"),
        refLogprobs: await reference.readF32("ref_logprobs"),
      },
      {
        epsilon: Number(clip),
        beta: Number(kl),
        klEstimator: klEstimator as KlEstimator,
        temperature: 1,
        recompute: false,
      },
    );
    const { loss } = await readRecorded(gpu, await gradient);
    const want = (await reference.readF32("loss"))[0]!;
    const got = loss.reduce((sum, l) => sum + l, 0);
    const exact = model.dtype === "float32";
    const isAdapter = model.base !== null;
    if (exact) yield check(`${name} loss`, Math.abs(got - want) / Math.abs(want), 1e-5);

    const all = { got: [] as Float32Array[], want: [] as Float32Array[] };
    for (const [parameter, grad] of grads) {
      const gotGrad = await gpu.readF32(grad);
      const wantGrad = await reference.readF32(`grad.${parameter}`);
      if (exact) yield check(`${name} grad ${parameter}`, relativeL2(gotGrad, wantGrad), 2e-4);
      all.got.push(gotGrad);
      all.want.push(wantGrad);
    }
    if (!exact) {
      const [gotAll, wantAll] = [concat(all.got), concat(all.want)];
      yield check(
        `${name} gradients`,
        relativeL2(gotAll, wantAll),
        pytorchError(reference, "bf16_grad_error", { isAdapter }),
      );
      const cosineLimit = pytorchError(reference, "bf16_grad_cosine", { isAdapter });
      yield check(`${name} gradients 1 - cosine`, 1 - cosine(gotAll, wantAll), cosineLimit);
    }
  } finally {
    gpu.release(...grads.values());
  }
}

/** "token": the mean over all masked tokens. "sequence": over a sequence's masked tokens, then over sequences. */
export function aggregationWeights(mask: Float32Array, cuSeqlens: Uint32Array, aggregate: string): Float32Array {
  const total = mask.reduce((sum, m) => sum + m, 0);
  if (aggregate === "token") return mask.map((m) => m / total);
  if (aggregate !== "sequence")
    throw new FormatError(`expected the loss's aggregate to be token or sequence, got ${aggregate}`);
  const weights = new Float32Array(mask.length);
  const sequences = cuSeqlens.length - 1;
  for (let s = 0; s < sequences; s++) {
    const [start, end] = [cuSeqlens[s]!, cuSeqlens[s + 1]!];
    const count = mask.subarray(start, end).reduce((sum, m) => sum + m, 0);
    if (count === 0) continue; // an empty response has no part in the mean, and is counted in it
    for (let t = start; t < end; t++) weights[t] = mask[t]! / (count * sequences);
  }
  return weights;
}

function concat(arrays: Float32Array[]): Float32Array {
  const all = new Float32Array(arrays.reduce((n, a) => n + a.length, 0));
  let offset = 0;
  for (const array of arrays) {
    all.set(array, offset);
    offset += array.length;
  }
  return all;
}
