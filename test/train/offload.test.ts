import { expect, test } from "vitest";
import { OutOfMemoryError } from "../../src/errors.ts";
import type { Model } from "../../src/model/model.ts";
import { AdamW, type AdamWOptions } from "../../src/train/optimizer.ts";
import { trainRl } from "../../src/train/rl.ts";
import { randn } from "../helpers/gpu.ts";
import { files, temporaryFolder } from "../helpers/host.ts";
import { makePlenty, scarceGpu } from "../helpers/scarce-gpu.ts";
import { ADAMW, ADAMW_BF16, TOY_RL, toyModel, toySetup, weightBytes } from "../helpers/toy.ts";

const folder = temporaryFolder();

interface Trained {
  model: Model;
  optimizer: AdamW;
}

async function step({ model, optimizer }: Trained, seed: number): Promise<number> {
  for (const gradient of optimizer.gradients.values()) model.gpu.write(gradient, randn(seed++, gradient.size));
  return optimizer.update(0.01);
}

async function fresh(dtype: Model["dtype"], options: AdamWOptions): Promise<Trained> {
  const model = await toyModel(dtype);
  return { model, optimizer: await AdamW.create(model, options) };
}

test.each([
  { dtype: "float32", adamw: ADAMW, state: "float32" },
  { dtype: "bfloat16", adamw: ADAMW, state: "float32" },
  { dtype: "bfloat16", adamw: ADAMW_BF16, state: "bfloat16" },
] as const)(
  "state in host memory has the bits of state on the device: weights, norms and files ($dtype, state in $state)",
  async ({ dtype, adamw, state }) => {
    const [here, away] = [await fresh(dtype, adamw), await fresh(dtype, { ...adamw, offload: true })];
    const saved = async ({ optimizer }: Trained, name: string) => {
      const path = `${folder}/${dtype}-${state}-${name}`;
      await optimizer.save(files, path);
      return { path, bytes: await files.read(path) };
    };
    expect((await saved(away, "away-0")).bytes).toEqual((await saved(here, "here-0")).bytes);
    for (let seed = 0; seed < 300; seed += 100) expect(await step(away, seed)).toBe(await step(here, seed));
    expect(await weightBytes(away.model)).toEqual(await weightBytes(here.model));
    const { path, bytes } = await saved(here, "here-3");
    expect((await saved(away, "away-3")).bytes).toEqual(bytes);

    // Either goes on from the other's file.
    await away.optimizer.load(files, path);
    expect(await step(away, 500)).toBe(await step(here, 500));
    expect(await weightBytes(away.model)).toEqual(await weightBytes(here.model));
    expect(away.optimizer.bytes).toMatchObject([{ masters: 0, moments: 0 }]);
    expect(away.optimizer.bytes[0]!.host).toBeGreaterThan(0);
  },
);

test("without memory for a parameter's state a step changes nothing, and is done once there is some", async () => {
  const scarce = await scarceGpu();
  const model = await toyModel("bfloat16", scarce.gpu);
  const optimizer = await AdamW.create(model, { ...ADAMW, offload: true });
  const before = await weightBytes(model);
  await optimizer.begin();
  Object.assign(scarce, { grants: 0, refusals: Infinity });
  await expect(optimizer.apply(1, 0.01)).rejects.toThrow(OutOfMemoryError);
  expect(optimizer.step).toBe(0);
  makePlenty(scarce);
  expect(await weightBytes(model)).toEqual(before);

  await optimizer.begin();
  // Memory that lies idle is given back before the step is given up.
  Object.assign(scarce, { grants: 0, refusals: 1 });
  await step({ model, optimizer }, 0);
  expect(optimizer.step).toBe(1);
  makePlenty(scarce);
  scarce.gpu.dispose();
});

test("a reference that is made for each of its passes gives the bits of one that stays, and between them takes nothing", async () => {
  const run = async (isOpened: boolean) => {
    const setup = await toySetup("bfloat16");
    const { gpu } = setup.model;
    let opened = 0;
    const openReference = () => {
      opened++;
      return toyModel("bfloat16");
    };
    const reference = isOpened ? { reference: null, openReference } : {};
    const metrics: object[] = [];
    const { usedBytes } = gpu.pool;
    for await (const iteration of trainRl({ ...setup, ...reference }, { ...TOY_RL, maxIterations: 2 })) {
      metrics.push({ ...iteration.metrics, rollout_time: 0, step_time: 0 });
      expect(iteration.metrics.kl === 0).toBe(metrics.length === 1);
    }
    return { metrics, opened, kept: gpu.pool.usedBytes - usedBytes, weights: await weightBytes(setup.model) };
  };
  const held = await run(false);
  const tables = 2; // the policy's and the reference's
  expect(await run(true)).toEqual({ ...held, opened: 2, kept: held.kept / tables });
});
