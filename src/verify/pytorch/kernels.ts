import type { Gpu } from "../../gpu/gpu.ts";
import { openSafetensors } from "../../hf/safetensors.ts";
import { adamwStep } from "../../kernels/adamw.ts";
import { attentionBackward, attentionForward } from "../../kernels/attention.ts";
import { sequenceBounds } from "../../model/batch.ts";
import type { ModelDType } from "../../model/model.ts";
import type { Files } from "../../runtime/types.ts";
import { check, relativeL2, type Check } from "../check.ts";

/** Steps of torch.optim.AdamW: parameters (the f32 masters in bfloat16) and both moments. */
export async function* verifyAdamw(gpu: Gpu, files: Files, path: string, dtype: ModelDType): AsyncGenerator<Check> {
  const reference = await openSafetensors(files, path);
  const { lr, beta1, beta2, eps, weight_decay, steps } = reference.metadata;
  const initial = await reference.readF32("param");
  const size = initial.length;
  const grads = await reference.readF32("grads");
  const master = gpu.upload(initial, [size], "f32");
  const param = dtype === "bfloat16" ? gpu.upload(initial, [size], "bf16") : master;
  const m = gpu.zeros([size], "f32");
  const v = gpu.zeros([size], "f32");
  const clip = gpu.upload(new Float32Array([1, 1]), [2], "f32");
  for (let step = 1; step <= Number(steps); step++) {
    const grad = gpu.upload(grads.slice((step - 1) * size, step * size), [size], "f32");
    adamwStep(gpu.recorder(), {
      param,
      master: dtype === "bfloat16" ? master : undefined,
      m,
      v,
      grad,
      clip,
      learningRate: Number(lr),
      beta1: Number(beta1),
      beta2: Number(beta2),
      eps: Number(eps),
      weightDecay: Number(weight_decay),
      step,
    });
    gpu.release(grad);
  }
  yield check("adamw param", relativeL2(await gpu.readF32(master), await reference.readF32("param_after")), 1e-6);
  yield check("adamw m", relativeL2(await gpu.readF32(m), await reference.readF32("m")), 1e-6);
  yield check("adamw v", relativeL2(await gpu.readF32(v), await reference.readF32("v")), 1e-6);
  gpu.release(master, param === master ? null : param, m, v, clip);
}

/** Packed causal grouped-query attention, forward and backward. */
export async function* verifyAttention(gpu: Gpu, files: Files, path: string, dtype: ModelDType): AsyncGenerator<Check> {
  const reference = await openSafetensors(files, path);
  const storage = dtype === "bfloat16" ? "bf16" : "f32";
  // Inputs are rounded to bfloat16 there, which the reference's were not.
  const limit = dtype === "bfloat16" ? 2e-2 : 2e-5;
  const cases = [...reference.tensors.keys()].filter((name) => name.endsWith(".q")).map((name) => name.slice(0, -2));
  for (const id of cases) {
    const shapeOf = (name: string) => reference.tensors.get(`${id}.${name}`)!.shape;
    const [rows, heads, headDim] = shapeOf("q") as [number, number, number];
    const load = async (name: string, as: "f32" | "bf16") =>
      gpu.upload(await reference.readF32(`${id}.${name}`), shapeOf(name), as);
    const [q, k, v] = [await load("q", "f32"), await load("k", storage), await load("v", storage)];
    const dout = await load("dout", "f32");
    const bounds = sequenceBounds(await reference.readU32(`${id}.cu_seqlens`));
    const starts = gpu.upload(bounds.starts, [rows], "u32");
    const ends = gpu.upload(bounds.ends, [rows], "u32");
    const out = gpu.empty(q.shape, "f32");
    const lse = gpu.empty([rows, heads], "f32");
    const delta = gpu.empty([rows, heads], "f32");
    const [dq, dk, dv] = [gpu.empty(q.shape, "f32"), gpu.empty(k.shape, "f32"), gpu.empty(v.shape, "f32")];
    const scale = 1 / Math.sqrt(headDim);
    attentionForward(gpu.recorder(), { q, k, v, starts, out, lse, scale });
    attentionBackward(gpu.recorder(), { q, k, v, out, dout, lse, starts, ends, delta, dq, dk, dv, scale });
    for (const [name, tensor] of Object.entries({ out, dq, dk, dv })) {
      yield check(
        `attention ${id} ${name}`,
        relativeL2(await gpu.readF32(tensor), await reference.readF32(`${id}.${name}`)),
        limit,
      );
    }
    gpu.release(q, k, v, dout, starts, ends, out, lse, delta, dq, dk, dv);
  }
}
