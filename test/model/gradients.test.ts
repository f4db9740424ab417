import { expect, test } from "vitest";
import { packSequences } from "../../src/model/batch.ts";
import { LoraModel } from "../../src/model/lora.ts";
import { Model } from "../../src/model/model.ts";
import { supervisedGradient } from "../../src/train/policy.ts";
import { readRecorded } from "../../src/train/recorded.ts";
import { randn, testGpu } from "../helpers/gpu.ts";
import { tinyConfig } from "../helpers/models.ts";

const sequences = [
  [3, 1, 4, 1, 5, 9, 2, 6],
  [5, 3, 5, 8, 9],
  [7, 9, 3, 2, 3, 8, 4, 6, 2, 6],
];
const packed = packSequences(sequences);
const STEP = 0.01;

const MODELS = [
  { name: "qwen2", config: {} },
  { name: "qwen3 with its own head", config: { model_type: "qwen3", tie_word_embeddings: false } },
  { name: "llama with all biases", config: { model_type: "llama", attention_bias: true, mlp_bias: true } },
  { name: "qwen2 with adapters", config: {}, targetModules: "all-linear" as const },
  { name: "qwen3 with some adapters", config: { model_type: "qwen3" }, targetModules: ["v_proj", "up_proj"] },
];

// A parameter that the forward pass forgets has a derivative of 0, one that the backward pass forgets a gradient of 0.
test.each(MODELS)(
  "$name: each parameter's gradient is the loss's slope along it",
  async ({ config, targetModules }) => {
    const gpu = await testGpu();
    const whole = Model.random(gpu, tinyConfig(config), { dtype: "float32", seed: 1 });
    const lora = targetModules && { r: 4, alpha: 6, useRslora: false, targetModules, baseModel: null };
    const model = lora ? await LoraModel.create(whole, lora, { seed: 1 }) : whole;
    const values = new Map<string, Float32Array>();
    for (const [name, tensor] of new Map([...model.parameters, ...model.trainable])) {
      const noise = randn(values.size, tensor.size, name.endsWith("norm.weight") ? 0.1 : 0.3);
      values.set(name, name.endsWith("norm.weight") ? noise.map((v) => 1 + v) : noise);
      gpu.write(tensor, values.get(name)!);
    }
    const weights = Float32Array.from(packed.tokenIds, (_, t) => (packed.cuSeqlens.includes(t) ? 0 : 0.1));
    const grads = new Map(Array.from(model.trainable, ([name, { shape }]) => [name, gpu.zeros(shape, "f32")]));
    const lossAt = async () => {
      const { loss } = await readRecorded(
        gpu,
        await supervisedGradient(model, grads, packed, weights, { recompute: false }),
      );
      return loss.reduce((sum, v) => sum + v, 0);
    };
    await lossAt();
    const gradients = new Map<string, Float32Array>();
    for (const [name, grad] of grads) gradients.set(name, await gpu.readF32(grad));

    for (const [name, tensor] of model.trainable) {
      const gradient = gradients.get(name)!;
      const length = Math.hypot(...gradient);
      expect(length, `${name}: length of its gradient`).toBeGreaterThan(1e-4);
      const original = values.get(name)!;
      const along = (step: number) =>
        gpu.write(
          tensor,
          original.map((v, i) => v + (step * gradient[i]!) / length),
        );
      along(STEP);
      const above = await lossAt();
      along(-STEP);
      const slope = (above - (await lossAt())) / (2 * STEP);
      gpu.write(tensor, original);
      expect(Math.abs(slope / length - 1), `${name}: slope ${slope}, gradient ${length}`).toBeLessThan(0.01);
    }
  },
);
