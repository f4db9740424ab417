import { describe, expect, test } from "vitest";
import { LLM } from "../../src/engine/llm.ts";
import { OutOfMemoryError } from "../../src/errors.ts";
import type { Gpu } from "../../src/gpu/gpu.ts";
import { linearForward } from "../../src/kernels/linear.ts";
import { elementWindows, rowWindows } from "../../src/kernels/windows.ts";
import { packSequences } from "../../src/model/batch.ts";
import { Model, type ModelDType } from "../../src/model/model.ts";
import { AdamW } from "../../src/train/optimizer.ts";
import { policyGradient, tokenLogprobs } from "../../src/train/policy.ts";
import { readRecorded } from "../../src/train/recorded.ts";
import { randn, testGpu } from "../helpers/gpu.ts";
import { openGpu } from "../helpers/host.ts";
import { tinyConfig } from "../helpers/models.ts";
import { ADAMW, ADAMW_BF16, weightBytes } from "../helpers/toy.ts";

/** The embedding of 5,000 x 32 is twice that in f32, its moments too; nothing else of this model is larger. */
const LIMIT = 300_000;
const config = tinyConfig({ vocab_size: 5000 });

/** A device whose kernels take LIMIT bytes at once. */
const narrowGpu = async (): Promise<Gpu> => Object.assign(await openGpu(), { maxBindingSize: LIMIT });

/** Samples, then steps twice on what was sampled; everything that can be compared. */
async function trained(gpu: Gpu, dtype: ModelDType, adamw: typeof ADAMW) {
  const model = Model.random(gpu, config, { dtype, seed: 1 });
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
  const optimizer = await AdamW.create(model, adamw);
  const norms: number[] = [];
  for (let step = 0; step < 2; step++) {
    const targets = {
      weights: logprobs.map(() => 0.1),
      advantages: randn(step, logprobs.length),
      oldLogprobs: logprobs,
    };
    const loss = { epsilon: 0.2, beta: 0, klEstimator: "none", temperature: 1, recompute: step > 0 } as const;
    await readRecorded(gpu, policyGradient(model, optimizer.gradients, packed, targets, loss));
    norms.push(await optimizer.update(1e-2));
  }
  const weights = await weightBytes(model);
  optimizer.dispose();
  model.dispose();
  return { outputs, logprobs, norms, weights };
}

describe.each([
  { dtype: "float32", adamw: ADAMW },
  { dtype: "float32", adamw: ADAMW_BF16 },
  { dtype: "bfloat16", adamw: ADAMW },
  { dtype: "bfloat16", adamw: ADAMW_BF16 },
] as const)("weights larger than a binding, $dtype, $adamw", ({ dtype, adamw }) => {
  test("sampling and training have the bits of an adapter that binds them whole", async () => {
    const gpu = await narrowGpu();
    try {
      expect(await trained(gpu, dtype, adamw)).toEqual(await trained(await testGpu(), dtype, adamw));
    } finally {
      gpu.dispose();
    }
  });
});

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
