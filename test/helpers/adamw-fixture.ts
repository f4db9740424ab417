import { readFileSync } from "node:fs";

export const adamwFixtureUrl = new URL("../../../shared/fixtures/transformers/adamw.safetensors", import.meta.url);

/** 5 steps of torch.optim.AdamW in float64, stored as f32: start, gradients, options and the state after the last step. */
export function adamwFixture() {
  const file = readFileSync(adamwFixtureUrl);
  const headerLength = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString("utf8", 8, 8 + headerLength));
  const tensor = (name: string): Float32Array => {
    const [start, end] = header[name].data_offsets;
    return new Float32Array(Uint8Array.from(file.subarray(8 + headerLength + start, 8 + headerLength + end)).buffer);
  };
  const { lr, beta1, beta2, eps, weight_decay, steps } = header.__metadata__;
  const param = tensor("param");
  const allGrads = tensor("grads");
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
    after: { param: tensor("param_after"), m: tensor("m"), v: tensor("v") },
  };
}
