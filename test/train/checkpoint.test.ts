import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { FormatError, PithError } from "../../src/errors.ts";
import { openSafetensors } from "../../src/hf/safetensors.ts";
import type { Model } from "../../src/model/model.ts";
import { nodeFiles } from "../../src/runtime/files-node.ts";
import type { Files } from "../../src/runtime/types.ts";
import { latestCheckpoint, loadCheckpoint, saveCheckpoint, type TrainerState } from "../../src/train/checkpoint.ts";
import { AdamW, type AdamWOptions } from "../../src/train/optimizer.ts";
import { randn, testGpu } from "../helpers/gpu.ts";
import { ADAMW, ADAMW_BF16, toyModel, weightBytes } from "../helpers/toy.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "pith-checkpoint-"));
});
afterAll(() => rm(root, { recursive: true }));

/** A model in training: two optimizer steps on random gradients, so that no state is still at its start. */
async function trained(dtype: Model["dtype"], adamw = ADAMW): Promise<{ model: Model; optimizer: AdamW }> {
  const model = await toyModel(dtype);
  const optimizer = await AdamW.create(model, adamw);
  for (let step = 0; step < 2; step++) await randomStep(model, optimizer, step);
  return { model, optimizer };
}

async function randomStep(model: Model, optimizer: AdamW, seed: number): Promise<number> {
  for (const gradient of optimizer.gradients.values()) model.gpu.write(gradient, randn(seed, gradient.size));
  return optimizer.update(0.01);
}

const stateAt = (step: number) => ({ step, num_tokens: 100 * step });

const DTYPES = ["float32", "bfloat16"] as const;
const STATES = DTYPES.flatMap((dtype) => [
  { dtype, state: "float32", adamw: ADAMW },
  { dtype, state: "bfloat16", adamw: ADAMW_BF16 },
]);

test.each(STATES)(
  "what is loaded goes on exactly as what was saved would ($dtype, optimizer state in $state)",
  async ({ dtype, state, adamw }) => {
    const dir = `${root}/exact-${dtype}-${state}`;
    const { model, optimizer } = await trained(dtype, adamw);
    const path = await saveCheckpoint(nodeFiles, dir, { model, optimizer, state: stateAt(10) });
    expect(path).toBe(`${dir}/step_000010`);
    const loaded = await loadCheckpoint(await testGpu(), nodeFiles, path, { dtype, optimizer: adamw });
    expect(loaded.state).toEqual(stateAt(10));
    expect(loaded.optimizer.step).toBe(2);
    expect(await weightBytes(loaded.model)).toEqual(await weightBytes(model));
    for (let seed = 7; seed < 10; seed++) {
      expect(await randomStep(loaded.model, loaded.optimizer, seed)).toBe(await randomStep(model, optimizer, seed));
    }
    expect(await weightBytes(loaded.model)).toEqual(await weightBytes(model));
  },
);

test("only a bfloat16 model has masters, and they hold more than its weights do", async () => {
  for (const dtype of ["float32", "bfloat16"] as const) {
    const { optimizer } = await trained(dtype);
    await optimizer.save(nodeFiles, `${root}/${dtype}.safetensors`);
  }
  const names = async (dtype: string) => [
    ...(await openSafetensors(nodeFiles, `${root}/${dtype}.safetensors`)).tensors.keys(),
  ];
  expect((await names("float32")).filter((name) => name.startsWith("master."))).toEqual([]);
  expect((await names("float32")).length * 3).toBe((await names("bfloat16")).length * 2);
  const file = await openSafetensors(nodeFiles, `${root}/bfloat16.safetensors`);
  const master = new Uint32Array((await file.readF32("master.model.embed_tokens.weight")).buffer);
  expect(master.some((bits) => (bits & 0xffff) !== 0)).toBe(true);
});

test("state in bf16 is kept in bf16, without masters, and is not taken for state in f32", async () => {
  const dir = `${root}/state`;
  const bf16 = await trained("bfloat16", ADAMW_BF16);
  const path = await saveCheckpoint(nodeFiles, dir, { ...bf16, state: stateAt(1) });
  const { tensors } = await openSafetensors(nodeFiles, `${path}/optimizer.safetensors`);
  expect(tensors.size).toBe(2 * bf16.model.parameters.size);
  expect(new Set(Array.from(tensors.values(), ({ dtype }) => dtype))).toEqual(new Set(["BF16"]));
  const gpu = await testGpu();
  const load = (from: string, dtype: Model["dtype"], optimizer: AdamWOptions) =>
    loadCheckpoint(gpu, nodeFiles, from, { dtype, optimizer });
  await expect(load(path, "float32", ADAMW)).rejects.toThrow(/expected m\.\S+ as F32, got BF16/);
  const f32 = await saveCheckpoint(nodeFiles, dir, { ...(await trained("float32")), state: stateAt(2) });
  await expect(load(f32, "float32", ADAMW_BF16)).rejects.toThrow(FormatError);
  await expect(load(f32, "float32", ADAMW_BF16)).rejects.toThrow(/as BF16, got F32; resume with the dtype/);
});

test("a state's bytes do not depend on the order in which it came about", async () => {
  const trainedOnce = await trained("float32");
  const base = { accuracy: 0.5, mean_length: 20 };
  const [first, resumed] = [
    { step: 3, num_tokens: 30, base, num_sampled_tokens: 10 },
    { num_sampled_tokens: 10, base, num_tokens: 30, step: 3 },
  ];
  const bytes = async (dir: string, state: TrainerState) =>
    nodeFiles.readText(`${await saveCheckpoint(nodeFiles, dir, { ...trainedOnce, state })}/trainer_state.json`);
  expect(await bytes(`${root}/resumed`, resumed!)).toBe(await bytes(`${root}/first`, first!));
});

test("the latest checkpoint is that of the most steps; what is unfinished does not count", async () => {
  const dir = `${root}/latest`;
  expect(await latestCheckpoint(nodeFiles, dir)).toBe(null);
  for (const name of ["step_000090", "step_1000000", "step_999999", ".unfinished_step_2000000", "step_x"])
    await nodeFiles.mkdir(`${dir}/${name}`);
  expect(await latestCheckpoint(nodeFiles, dir)).toBe(`${dir}/step_1000000`);
});

/** Files of a process that dies after `count` changes to the disk: nothing succeeds afterwards, cleaning up included. */
function failingFiles(count: number, failure: Error): Files {
  const change =
    <A extends unknown[]>(action: (...args: A) => Promise<void>) =>
    async (...args: A) => {
      if (count-- > 0) return action(...args);
      throw failure;
    };
  return {
    ...nodeFiles,
    write: change(nodeFiles.write),
    mkdir: change(nodeFiles.mkdir),
    rename: change(nodeFiles.rename),
    remove: change(nodeFiles.remove),
  };
}

test("killed at any moment of a save, a run has its last good checkpoint, and the next save works", async () => {
  const dir = `${root}/killed`;
  const { model, optimizer } = await trained("bfloat16");
  const good = await saveCheckpoint(nodeFiles, dir, { model, optimizer, state: stateAt(1) });
  const weights = await weightBytes(model);
  await randomStep(model, optimizer, 3);

  const killed = new Error("killed");
  let kills = 0;
  for (; ; kills++) {
    const files = failingFiles(kills, killed);
    const error = await saveCheckpoint(files, dir, { model, optimizer, state: stateAt(2) }).then(
      () => null,
      (reason: unknown) => reason,
    );
    if (error === null) break;
    expect(error).toBe(killed);
    expect(await latestCheckpoint(nodeFiles, dir)).toBe(good);
  }
  expect(kills).toBeGreaterThanOrEqual(6);
  expect(await nodeFiles.list(dir)).toEqual(["step_000001", "step_000002"]);
  const before = await loadCheckpoint(await testGpu(), nodeFiles, good, { dtype: "bfloat16", optimizer: ADAMW });
  expect(await weightBytes(before.model)).toEqual(weights);
  const after = await loadCheckpoint(await testGpu(), nodeFiles, `${dir}/step_000002`, {
    dtype: "bfloat16",
    optimizer: ADAMW,
  });
  expect(after.optimizer.step).toBe(3);
  expect(await weightBytes(after.model)).toEqual(await weightBytes(model));
});

test("a full disk leaves nothing half-written and says which checkpoint is left", async () => {
  const dir = `${root}/full`;
  const { model, optimizer } = await trained("float32");
  const good = await saveCheckpoint(nodeFiles, dir, { model, optimizer, state: stateAt(1) });
  const full: Files = {
    ...nodeFiles,
    async write(path, data) {
      if (!path.endsWith("optimizer.safetensors")) return nodeFiles.write(path, data);
      await nodeFiles.write(path, new Uint8Array(100));
      throw new PithError(`cannot write ${path}: no space left on the disk`);
    },
  };
  const save = saveCheckpoint(full, dir, { model, optimizer, state: stateAt(2) });
  await expect(save).rejects.toThrow(PithError);
  await expect(save).rejects.toThrow(`no space left on the disk; the last good one is ${good}`);
  expect(await nodeFiles.list(dir)).toEqual(["step_000001"]);
});

test("a checkpoint that is not what it should be is a FormatError", async () => {
  const dir = `${root}/bad`;
  const { model, optimizer } = await trained("float32");
  const path = await saveCheckpoint(nodeFiles, dir, { model, optimizer, state: stateAt(1) });
  const load = async (dtype: Model["dtype"] = "float32") =>
    loadCheckpoint(await testGpu(), nodeFiles, path, { dtype, optimizer: ADAMW });
  // Saved without masters, which training in bfloat16 needs.
  await expect(load("bfloat16")).rejects.toThrow(/expected a tensor master\.model/);
  await nodeFiles.write(`${path}/optimizer.safetensors`, await nodeFiles.read(`${path}/model.safetensors`));
  await expect(load()).rejects.toThrow(/number of steps/);
  await nodeFiles.write(
    `${path}/optimizer.safetensors`,
    (await nodeFiles.read(`${path}/model.safetensors`)).subarray(0, 5000),
  );
  await expect(load()).rejects.toThrow(FormatError);
  await nodeFiles.write(`${path}/trainer_state.json`, "{");
  await expect(load()).rejects.toThrow(
    /trainer_state\.json: expected a JSON object with whole numbers step and num_tokens/,
  );
});
