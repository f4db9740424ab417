import { describe, expect, test } from "vitest";
import { allocate } from "../../src/measure/kernel-case.ts";
import { kernelCases } from "../../src/measure/kernels/all.ts";
import { runBench } from "../../src/measure/bench.ts";
import { MODELS } from "../../src/measure/models.ts";
import type { Roof } from "../../src/measure/roof.ts";
import { Stopwatch } from "../../src/measure/stopwatch.ts";
import { PARTS } from "../../src/measure/result.ts";
import { planningGpu } from "../../src/gpu/planning-gpu.ts";
import { STORAGES, testGpu } from "../helpers/gpu.ts";
import { tinyConfig } from "../helpers/models.ts";

describe.each(STORAGES)("every kernel, weights in %s", (storage) => {
  // Rows that fill no block and no tile.
  const cases = kernelCases({ config: tinyConfig(), storage, context: 21 }, [1, 5]);

  test.each(cases.map((c) => [`${c.kernel}, ${c.shape}`, c] as const))("%s is recorded twice and run", async (_, c) => {
    const gpu = await testGpu();
    const tensors = allocate(gpu, c);
    const inUse = gpu.pool.usedBytes;
    c.record(gpu.recorder(), tensors);
    c.record(gpu.recorder(), tensors);
    await gpu.idle();
    expect(gpu.pool.usedBytes, "what it takes it gives back").toBe(inUse);
    expect(c.bytes).toBeGreaterThan(0);
    gpu.release(...Object.values(tensors));
  });
});

describe.each(Object.keys(MODELS))("the shapes of %s", (model) => {
  test("suit every kernel", () => {
    const gpu = planningGpu();
    for (const c of kernelCases({ config: MODELS[model]!, storage: "bf16", context: 1024 }, [1, 64])) {
      const tensors = Object.entries(c.tensors).map(([name, t]) => [name, gpu.empty(t.shape, t.dtype)] as const);
      c.record(gpu.recorder(), Object.fromEntries(tensors));
    }
  });
});

test("a model's name and shape tell its measurements apart", () => {
  const cases = kernelCases({ config: MODELS["r1-1.5b"]!, storage: "bf16", context: 1024 }, [1, 64, 2048]);
  const names = cases.map((c) => `${c.kernel} ${c.shape}`);
  expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
});

/** In place of a measured one, which takes a while. */
const ROOF: Roof = { flops: { f32: 1e10, bf16: 1e10 }, bytes: 1e10, products: [] };

describe("a run", () => {
  test("leaves out what would take too long, with the reason, and leaves nothing in use", async () => {
    const gpu = await testGpu();
    const inUse = gpu.pool.usedBytes;
    const options = { parts: PARTS, models: ["reasoner"], rows: [16], batches: [2], context: 32 };
    const few = { ...options, dtype: "float32", maxSeconds: 1e-9 } as const;
    const { lines, skipped } = await runBench(new Stopwatch(gpu), ROOF, few);
    expect(lines).toEqual([]);
    expect(skipped.length).toBeGreaterThan(20);
    expect(skipped.every(({ reason }) => reason.includes("may take"))).toBe(true);
    expect(gpu.pool.usedBytes).toBe(inUse);
  });

  test("measures prefill, decoding and a training step, and leaves nothing in use", async () => {
    const gpu = await testGpu();
    const inUse = gpu.pool.usedBytes;
    const parts = ["prefill", "decode", "train"] as const;
    const options = { parts, models: ["reasoner"], rows: [16], batches: [2], context: 32 };
    const { lines, skipped } = await runBench(new Stopwatch(gpu), ROOF, {
      ...options,
      dtype: "bfloat16",
      maxSeconds: 1,
    });
    expect(skipped).toEqual([]);
    expect(lines.map(({ part }) => part)).toEqual(parts);
    for (const line of lines) {
      expect(line.ms.median).toBeGreaterThan(0);
      expect(line.tokens_per_second).toBeGreaterThan(0);
    }
    expect(gpu.pool.usedBytes).toBe(inUse);
  });
});
