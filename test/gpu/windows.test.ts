import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { LLM } from "../../src/engine/llm.ts";
import { OutOfMemoryError } from "../../src/errors.ts";
import type { DeviceGpu } from "../../src/gpu/device-gpu.ts";
import type { Gpu } from "../../src/gpu/gpu.ts";
import { linearForward } from "../../src/kernels/linear.ts";
import { elementWindows, rowWindows } from "../../src/kernels/windows.ts";
import { packSequences } from "../../src/model/batch.ts";
import { Model, type ModelDType } from "../../src/model/model.ts";
import { nodeFiles } from "../../src/runtime/files-node.ts";
import { loadCheckpoint, saveCheckpoint } from "../../src/train/checkpoint.ts";
import { AdamW, type AdamWOptions } from "../../src/train/optimizer.ts";
import { policyGradient, tokenLogprobs } from "../../src/train/policy.ts";
import { readRecorded } from "../../src/train/recorded.ts";
import { narrow, randn, testGpu } from "../helpers/gpu.ts";
import { openGpu } from "../helpers/host.ts";
import { tinyConfig } from "../helpers/models.ts";
import { ADAMW, ADAMW_BF16, weightDigest } from "../helpers/toy.ts";

/** The embedding of 5,000 x 32 is twice that in f32, its moments too; nothing else of this model is larger. */
const LIMIT = 300_000;

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "pith-windows-"));
});
afterAll(() => rm(root, { recursive: true }));

/** A device whose kernels take LIMIT bytes at once. */
async function narrowGpu(): Promise<DeviceGpu> {
  const gpu = await openGpu();
  narrow(gpu, LIMIT);
  return gpu;
}

/** Of each of a folder's files. */
async function digests(dir: string): Promise<string[]> {
  const names = (await readdir(dir)).sort();
  const digest = async (name: string) => createHash("sha256").update(await readFile(join(dir, name)));
  return Promise.all(names.map(async (name) => `${name} ${(await digest(name)).digest("hex")}`));
}

/** Samples, steps on what was sampled, saves, and steps on from what was saved; everything that can be compared. */
async function trained(gpu: Gpu, dtype: ModelDType, adamw: AdamWOptions, tied: boolean) {
  let model = Model.random(gpu, tinyConfig({ vocab_size: 5000, tie_word_embeddings: tied }), { dtype, seed: 1 });
  const llm = new LLM(model, { maxModelLen: 24 });
  const params = { n: 3, maxTokens: 6, temperature: 1, topK: 0, topP: 0.9, seed: 2, stopTokenIds: [] };
  const requests = [4999, 2303, 2304].map((token, promptId) => ({ promptId, promptTokenIds: [token, 17, token] }));
  const outputs = await llm.generate(requests, params);
  llm.dispose();

  const responses = outputs.flatMap(({ promptTokenIds, outputs: all }) =>
    all.map((one) => [...promptTokenIds, ...one.tokenIds]),
  );
  const packed = packSequences(responses.slice(0, 3));
  const { logprobs } = await tokenLogprobs(model, packed, { temperature: 1 });
  let optimizer = await AdamW.create(model, adamw);
  const norms: number[] = [];
  let saved: string[] = [];
  for (let step = 0; step < 3; step++) {
    const targets = {
      weights: logprobs.map(() => 0.1),
      advantages: randn(step, logprobs.length),
      oldLogprobs: logprobs,
    };
    const loss = { epsilon: 0.2, beta: 0, klEstimator: "none", temperature: 1, recompute: step > 0 } as const;
    await readRecorded(gpu, await policyGradient(model, optimizer.gradients, packed, targets, loss));
    norms.push(await optimizer.update(1e-2));
    if (step !== 1) continue;
    const dir = await mkdtemp(join(root, "run-"));
    const path = await saveCheckpoint(nodeFiles, dir, { model, optimizer, state: { step, num_tokens: 0 } });
    saved = await digests(path);
    optimizer.dispose();
    model.dispose();
    ({ model, optimizer } = await loadCheckpoint(gpu, nodeFiles, path, { dtype, optimizer: adamw }));
  }
  const weights = await weightDigest(model);
  optimizer.dispose();
  model.dispose();
  return { outputs, logprobs, norms, saved, weights };
}

describe.each([
  { dtype: "float32", state: "float32", adamw: ADAMW, tied: true },
  { dtype: "float32", state: "bfloat16", adamw: ADAMW_BF16, tied: true },
  { dtype: "bfloat16", state: "float32", adamw: ADAMW, tied: true },
  { dtype: "bfloat16", state: "bfloat16", adamw: ADAMW_BF16, tied: true },
  { dtype: "bfloat16", state: "float32", adamw: ADAMW, tied: false },
] as const)(
  "weights larger than a binding, $dtype, optimizer state in $state, tied: $tied",
  ({ dtype, adamw, tied }) => {
    test("sampling, training and checkpoints have the bits of an adapter that binds them whole", async () => {
      const gpu = await narrowGpu();
      try {
        const whole = await trained(await testGpu(), dtype, adamw, tied);
        expect(whole.saved.length).toBe(4);
        expect(await trained(gpu, dtype, adamw, tied)).toEqual(whole);
      } finally {
        gpu.dispose();
      }
    });
  },
);

test("windows cover a tensor and begin where a binding may", async () => {
  const gpu = await narrowGpu();
  const alignment = gpu.limits.minStorageBufferOffsetAlignment;
  const table = gpu.zeros([5000, 32], "bf16");
  for (const windows of [[...rowWindows(gpu, table)], [...elementWindows(gpu, table)]]) {
    expect(windows.length).toBeGreaterThan(1);
    let next = 0;
    for (const { first, part } of windows) {
      expect(first).toBe(next);
      expect(part.offset % alignment).toBe(0);
      expect(part.byteLength).toBeLessThanOrEqual(LIMIT);
      next += part.shape[0]!;
    }
    expect(windows.reduce((sum, { part }) => sum + part.size, 0)).toBe(table.size);
  }
  const small = gpu.zeros([10, 4], "f32");
  expect([...rowWindows(gpu, small)]).toEqual([{ first: 0, part: small }]);
  expect(() => table.rows(4990, 11)).toThrow("rows: expected some of 5000, got 4990 to 5001");
  gpu.dispose();
});

test("what a kernel takes whole and the adapter cannot bind is out of memory, not a lost device", async () => {
  const gpu = await narrowGpu();
  const tensors = {
    x: gpu.zeros([2, 400], "f32"),
    weight: gpu.zeros([400, 400], "f32"),
    y: gpu.zeros([2, 400], "f32"),
  };
  expect(() => linearForward(gpu.recorder(), tensors)).toThrow(OutOfMemoryError);
  expect(() => linearForward(gpu.recorder(), tensors)).toThrow(`weight: expected at most ${LIMIT} bytes in a binding`);
  gpu.dispose();
});

test("a model with a parameter that the adapter cannot take is refused before anything is read or uploaded", async () => {
  const gpu = await narrowGpu();
  const wide = tinyConfig({ intermediate_size: 4000 });
  const dir = join(root, "wide");
  await mkdir(dir);
  await writeFile(join(dir, "config.json"), JSON.stringify(wide.raw)); // and no weights
  const unbound = `expected model.layers.0.mlp.gate_proj.weight in at most ${LIMIT} bytes (this adapter's limit), got 512000 in f32`;
  await expect(Model.load(gpu, nodeFiles, dir, { dtype: "float32" })).rejects.toThrow(unbound);
  expect(() => Model.random(gpu, wide, { dtype: "float32", seed: 0 })).toThrow(OutOfMemoryError);

  const huge = tinyConfig({ vocab_size: 2 ** 24, hidden_size: 2 ** 14 });
  const unbuffered = `expected model.embed_tokens.weight in at most ${gpu.limits.maxBufferSize} bytes`;
  expect(() => Model.random(gpu, huge, { dtype: "bfloat16", seed: 0 })).toThrow(unbuffered);
  expect(gpu.pool.allocatedBytes).toBe(0);
  gpu.dispose();
});
