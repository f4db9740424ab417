import { openSafetensors } from "../../src/hf/safetensors.ts";
import { files } from "./host.ts";

const path = new URL("../fixtures/transformers/adamw.safetensors", import.meta.url).pathname;

/** 5 steps of torch.optim.AdamW in float64, stored as f32: start, gradients, options and the state after the last step. */
export async function adamwFixture() {
  const { metadata, readF32 } = await openSafetensors(files, path);
  const { lr, beta1, beta2, eps, weight_decay, steps } = metadata;
  const param = await readF32("param");
  const allGrads = await readF32("grads");
  return {
    param,
    grads: Array.from({ length: Number(steps) }, (_, i) => allGrads.slice(i * param.length, (i + 1) * param.length)),
    options: {
      learningRate: Number(lr),
      beta1: Number(beta1),
      beta2: Number(beta2),
      eps: Number(eps),
      weightDecay: Number(weight_decay),
    },
    after: { param: await readF32("param_after"), m: await readF32("m"), v: await readF32("v") },
  };
}
