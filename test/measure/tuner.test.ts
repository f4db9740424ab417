import { describe, expect, test } from "vitest";
import { MODELS } from "../../src/measure/models.ts";
import { Stopwatch } from "../../src/measure/stopwatch.ts";
import { fastest, tunableProducts, tune } from "../../src/measure/tuner.ts";
import { tuningShape } from "../../src/gpu/tuning.ts";
import { tilesOf } from "../../src/kernels/linear-matrix.ts";
import { testGpu, tiersHere } from "../helpers/gpu.ts";
import { tinyConfig } from "../helpers/models.ts";

/** Candidates that take these milliseconds, the next of them each time; and the order in which they were asked. */
function clock(...times: number[][]) {
  const asked: number[] = [];
  const sample = (candidate: number) => {
    const count = asked.filter((c) => c === candidate).length;
    asked.push(candidate);
    return Promise.resolve(times[candidate]![count % times[candidate]!.length]!);
  };
  return { asked, sample };
}

describe("the fastest of several", () => {
  test("is chosen over the rule's", async () => {
    expect(await fastest(2, 0, clock([10], [8]).sample)).toEqual({ chosen: 1, gain: 1.25 });
    expect(await fastest(3, 2, clock([7], [6], [9]).sample)).toEqual({ chosen: 1, gain: 1.5 });
    expect(await fastest(2, 0, clock([30], [10]).sample)).toEqual({ chosen: 1, gain: 3 });
  });

  test("is the rule's where that is", async () => {
    expect(await fastest(2, 1, clock([10], [8]).sample)).toEqual({ chosen: 1, gain: 1 });
    expect(await fastest(1, 0, clock([10]).sample)).toEqual({ chosen: 0, gain: 1 });
  });

  test("must win by more than the samples spread", async () => {
    const noisy = [10, 12, 8, 12, 8];
    expect(await fastest(2, 0, clock(noisy, [9]).sample)).toEqual({ chosen: 0, gain: 1 });
    expect(
      await fastest(
        2,
        0,
        clock(
          [9],
          noisy.map((ms) => ms - 2),
        ).sample,
      ),
    ).toEqual({ chosen: 0, gain: 1 });
    expect((await fastest(2, 0, clock(noisy, [5.5]).sample)).chosen).toBe(1);
    // One sample that was disturbed decides nothing.
    expect(await fastest(2, 0, clock([10, 10, 90, 10, 10], [11]).sample)).toEqual({ chosen: 0, gain: 1 });
  });

  test("is looked for in turns, there and back, without what is hopeless from the first time on", async () => {
    const { asked, sample } = clock([10], [30], [9]);
    await fastest(3, 0, sample);
    expect(asked).toEqual([0, 1, 2, 2, 0, 0, 2, 2, 0, 0, 2]);
    const slow = clock([10], [30]);
    await fastest(2, 0, slow.sample);
    expect(slow.asked).toEqual([0, 1]);
  });
});

describe("products to measure", () => {
  const shapes = (model: string) =>
    tunableProducts(MODELS[model]!)
      .flat()
      .map(({ product, rows, columns }) => tuningShape(product.kernel, rows, columns));

  test.each(Object.keys(MODELS))("%s: each shape once", (model) => {
    const all = shapes(model);
    expect(all.length).toBeGreaterThan(30);
    expect(new Set(all).size).toBe(all.length);
  });

  test("are those that decoding and training meet", () => {
    const all = shapes("r1-1.5b");
    for (const shape of [
      tuningShape("linear_forward", 1, 1536),
      tuningShape("linear_forward", 8192, 256),
      tuningShape("linear_swiglu", 64, 2 * 8960),
      tuningShape("linear_logits", 256, 151936),
      tuningShape("linear_logits", 8192, 2048),
      tuningShape("linear_backward_input", 8192, 8960),
      tuningShape("linear_backward_weight", 8960, 1536),
      tuningShape("linear_backward_weight", 256, 1536),
    ])
      expect(all).toContain(shape);
  });
});

const tiers = await tiersHere();

describe.skipIf(!tiers.includes("matrices"))("a tuned device [skipped where the adapter has no matrices]", () => {
  test("holds tiles that there are, beside those of other shapes, and nothing else", { timeout: 240_000 }, async () => {
    const gpu = await testGpu("matrices");
    const inUse = gpu.pool.usedBytes;
    const tiles = tilesOf(gpu, gpu.matrices!);
    const other = tuningShape("linear_forward", 1, 2 ** 20);
    gpu.tuning = new Map([[other, 0]]);
    const found: string[] = [];
    await tune(new Stopwatch(gpu), tinyConfig(), ({ shape, rule, chosen, gain }) => {
      found.push(shape);
      expect(gain).toBeGreaterThanOrEqual(1);
      expect(chosen === rule).toBe(gain === 1);
    });
    const tuning = gpu.tuning!;
    gpu.tuning = null;
    expect(found.length).toBeGreaterThan(0);
    expect(tuning.get(other)).toBe(0);
    for (const [shape, tile] of tuning) {
      expect([other, ...found]).toContain(shape);
      expect(tiles[tile]).toBeDefined();
    }
    expect(gpu.pool.usedBytes).toBe(inUse);
  });
});
