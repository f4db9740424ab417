import { describe, expect, test } from "vitest";
import { PithError } from "../../src/errors.ts";
import { adamwStep } from "../../src/reference/adamw.ts";
import { AdamW } from "../../src/train/optimizer.ts";
import { expectClose, f64, randn, stored } from "../helpers/gpu.ts";
import { ADAMW, ADAMW_BF16, toyModel, weightBytes } from "../helpers/toy.ts";

test.each(["float32", "bfloat16"] as const)(
  "steps every parameter as the twin does, clipped by the norm over all of them (%s)",
  async (dtype) => {
    const model = await toyModel(dtype);
    const { gpu } = model;
    const optimizer = await AdamW.create(model, { ...ADAMW, weightDecay: 0.1, maxGradNorm: 5 });
    const twins = new Map<string, { master: Float64Array; m: Float64Array; v: Float64Array }>();
    for (const [name, param] of model.parameters) {
      twins.set(name, {
        master: f64(await gpu.readF32(param)),
        m: new Float64Array(param.size),
        v: new Float64Array(param.size),
      });
    }
    for (let step = 1; step <= 3; step++) {
      const gradients = new Map(
        Array.from(optimizer.gradients, ([name, { size }], i) => [
          name,
          randn(100 * step + i, size, step === 2 ? 1e-3 : 1),
        ]),
      );
      for (const [name, gradient] of optimizer.gradients) gpu.write(gradient, gradients.get(name)!);
      let squares = 0;
      for (const gradient of gradients.values()) squares += gradient.reduce((sum, g) => sum + g * g, 0);
      const norm = Math.sqrt(squares);

      expect(Math.abs((await optimizer.update(0.02)) / norm - 1)).toBeLessThan(1e-5);
      expect(optimizer.step).toBe(step);
      for (const [name, twin] of twins) {
        const clip = Math.min(1, 5 / (norm + 1e-6));
        adamwStep({
          ...twin,
          grad: f64(gradients.get(name)!),
          clip,
          learningRate: 0.02,
          step,
          beta1: 0.9,
          beta2: 0.95,
          eps: 1e-8,
          weightDecay: 0.1,
        });
      }
    }
    for (const [name, param] of model.parameters) {
      const want = Float32Array.from(twins.get(name)!.master);
      // A master within rounding of the twin's may round to the neighbouring bfloat16.
      if (dtype === "float32") expectClose(await gpu.readF32(param), want, { rtol: 1e-5, atol: 1e-6 });
      else expectClose(await gpu.readF32(param), stored(want, "bf16"), { rtol: 2 ** -7, atol: 1e-6 });
      expect((await gpu.readF32(optimizer.gradients.get(name)!)).every((g) => g === 0)).toBe(true);
    }
  },
);

test("in bfloat16, updates too small for the weights add up in the masters", async () => {
  const model = await toyModel("bfloat16");
  const norm = model.parameter("model.norm.weight");
  const optimizer = await AdamW.create(model, ADAMW);
  const afterSteps = async (steps: number) => {
    for (let step = 0; step < steps; step++) {
      for (const gradient of optimizer.gradients.values())
        model.gpu.write(gradient, new Float32Array(gradient.size).fill(1));
      await optimizer.update(5e-4);
    }
    return (await model.gpu.readF32(norm))[0];
  };
  expect(await afterSteps(1)).toBe(1);
  expect(await afterSteps(9)).toBeLessThan(1);
});

describe("state in bf16", () => {
  test.each(["float32", "bfloat16"] as const)(
    "steps a %s model's parameters as the twin does, each with random bits of its own",
    async (dtype) => {
      const model = await toyModel(dtype);
      const { gpu } = model;
      const optimizer = await AdamW.create(model, ADAMW_BF16);
      const before = new Map<string, Float64Array>();
      for (const [name, param] of model.parameters) before.set(name, f64(await gpu.readF32(param)));
      // Equal gradients: parameters of equal size and value would be rounded alike by one stream.
      for (const gradient of optimizer.gradients.values()) gpu.write(gradient, randn(3, gradient.size));
      const norm = await optimizer.update(0.02);
      let stream = 0;
      let wrong = 0;
      for (const [name, param] of model.parameters) {
        const state = { master: before.get(name)!, m: new Float64Array(param.size), v: new Float64Array(param.size) };
        adamwStep({
          ...state,
          grad: f64(randn(3, param.size)),
          clip: Math.fround(1 / (norm + 1e-6)),
          learningRate: 0.02,
          step: 1,
          beta1: 0.9,
          beta2: 0.95,
          eps: 1e-8,
          weightDecay: 0,
          rounding: { seed: 11, stream: stream++, param: dtype === "bfloat16" },
        });
        const got = await gpu.readF32(param);
        if (dtype === "float32") expectClose(got, state.master, { rtol: 1e-5, atol: 1e-6 });
        else wrong += got.filter((value, i) => value !== state.master[i]).length;
      }
      // A value that the twin has on the other side of its random number; half of all with wrong random bits.
      expect(wrong).toBeLessThan(0.01 * model.numParameters);
    },
  );

  test("updates too small for the weights add up in the mean without masters", async () => {
    const model = await toyModel("bfloat16");
    const norm = model.parameter("model.norm.weight");
    const optimizer = await AdamW.create(model, ADAMW_BF16);
    for (let step = 0; step < 100; step++) {
      for (const gradient of optimizer.gradients.values())
        model.gpu.write(gradient, new Float32Array(gradient.size).fill(1));
      await optimizer.update(5e-4); // an eighth of the last bit of numbers below 1
    }
    const weights = await model.gpu.readF32(norm);
    const mean = weights.reduce((a, b) => a + b, 0) / weights.length;
    // A walk of 100 steps of 2^-8 with probability 1/8: 5 standard deviations of the mean of 32 such.
    expect(Math.abs(mean - (1 - 0.05))).toBeLessThan((5 * 2 ** -8 * Math.sqrt((100 * 7) / 64)) / Math.sqrt(32));
  });
});

test("a gradient that is not finite changes nothing and says so", async () => {
  const model = await toyModel("float32");
  const optimizer = await AdamW.create(model, ADAMW);
  const before = await weightBytes(model);
  const [gradient] = optimizer.gradients.values();
  model.gpu.write(gradient!, new Float32Array(gradient!.size).fill(NaN));
  const update = optimizer.update(0.1);
  await expect(update).rejects.toThrow(PithError);
  await expect(update).rejects.toThrow(/finite gradient, got norm NaN at optimizer step 1/);
  expect(optimizer.step).toBe(0);
  expect(await weightBytes(model)).toEqual(before);
});
