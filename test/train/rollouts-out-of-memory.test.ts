import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { engineSize, shareOfEngine } from "../../src/engine/engine-size.ts";
import { OutOfMemoryError } from "../../src/errors.ts";
import { trainRl } from "../../src/train/rl.ts";
import { sampleRollouts } from "../../src/train/rollouts.ts";
import { Sampler } from "../../src/train/sampler.ts";
import { heard, lacksMemory, makePlenty, scarceGpu, type ScarceGpu } from "../helpers/scarce-gpu.ts";
import { TOY_RL, toyModel, toySetup, weightDigest } from "../helpers/toy.ts";

let scarce: ScarceGpu;
beforeAll(async () => {
  scarce = await scarceGpu();
});
afterAll(() => scarce.gpu.dispose());
beforeEach(() => makePlenty(scarce));

describe("rollouts that run out of memory are sampled anew with half the sequences at once, to the same tokens", () => {
  const sampling = { temperature: 1, topK: 0, topP: 1, maxTokens: 10, seed: 3 };
  /** Four responses to each of five problems; `spoil` is called before them. */
  async function rollOut(spoil: () => void) {
    const { gpu } = scarce;
    const { model, optimizer, reference, task, tokenizer } = await toySetup("float32", gpu);
    model.rope(32);
    const { usedBytes } = gpu.pool;
    const warnings: string[] = [];
    const progress: number[] = [];
    const sampler = new Sampler(
      model,
      { blockSize: 4, maxNumSeqs: 16 },
      {
        onWarning: (message) => heard(scarce, warnings, message),
      },
    );
    spoil();
    const groups = await sampleRollouts(sampler, tokenizer, task, task.train, 4, sampling, {
      stopTokenIds: [0],
      onProgress: (done) => void progress.push(done),
    });
    const leaked = gpu.pool.usedBytes - usedBytes;
    for (const part of [optimizer, reference!, model]) part.dispose();
    return { groups, progress, leaked, warnings };
  }

  test("wherever a buffer is refused", async () => {
    const whole = await rollOut(() => {});
    expect(whole.progress).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
    expect(whole).toMatchObject({ leaked: 0, warnings: [] });
    expect(new Set(whole.groups.flat().map(({ length }) => length)).size).toBeGreaterThan(3);
    let refused = 0;
    for (let grants = 0; ; grants += 11) {
      const got = await rollOut(() => Object.assign(scarce, { grants, refusals: 2 }));
      if (scarce.refusals > 0) break;
      expect(got.warnings).toEqual([
        expect.stringMatching(/^out of memory with 16 sequences at once; samples on with 8 \(expected a buf/),
      ]);
      expect({ ...got, warnings: [] }).toEqual(whole);
      refused++;
    }
    expect(refused).toBeGreaterThan(10);
  });

  test("where the device has none", async (context) => {
    if (!(await lacksMemory(scarce.gpu))) return context.skip("the adapter has room for its largest buffer");
    const whole = await rollOut(() => {});
    let failed = 0;
    for (let creations = 0; ; creations += 7) {
      const got = await rollOut(() => {
        scarce.gpu.pool.trim(); // so that the engine makes its buffers anew
        Object.assign(scarce, { creations, failures: Infinity });
      });
      if (got.warnings.length === 0) break;
      expect(got.warnings).toEqual([expect.stringMatching(/samples on with 8 \(the GPU is out of memory/)]);
      expect({ ...got, warnings: [] }).toEqual(whole);
      failed++;
    }
    expect(failed).toBeGreaterThan(2);
  });

  test("in a training run, which goes on as one that had the memory", async () => {
    const run = async (grants: number) => {
      const setup = await toySetup("float32", scarce.gpu);
      setup.model.rope(32);
      const warnings: string[] = [];
      Object.assign(scarce, { grants, refusals: 2 });
      const onWarning = (message: string) => void warnings.push(message);
      const iterations = await Array.fromAsync(trainRl(setup, { ...TOY_RL, maxIterations: 2 }, { onWarning }));
      const rollouts = iterations.map((iteration) => iteration.rollouts);
      return { warnings, rollouts, weights: await weightDigest(setup.model) };
    };
    const whole = await run(Infinity);
    const got = await run(8);
    expect(got.warnings).toEqual([
      expect.stringMatching(/^out of memory with 24 sequences at once; samples on with 12/),
    ]);
    expect({ ...got, warnings: [] }).toEqual(whole);
  });

  test("down to one, and an error that says so where one does not fit", async () => {
    const { gpu } = scarce;
    const { model, task, tokenizer } = await toySetup("float32", gpu);
    model.rope(32);
    const { usedBytes } = gpu.pool;
    const warnings: string[] = [];
    scarce.largest = 8;
    const sampler = new Sampler(model, {}, { onWarning: (message) => void warnings.push(message) });
    const rollout = sampleRollouts(sampler, tokenizer, task, task.train, 4, sampling, { stopTokenIds: [0] });
    await expect(rollout).rejects.toThrow(OutOfMemoryError);
    await expect(rollout).rejects.toThrow(
      /^expected memory to sample one sequence of 32 tokens, got none: expected a buf/,
    );
    expect(warnings.map((warning) => /with (\d+) sequences.* with (\d+)/.exec(warning)!.slice(1).join())).toEqual([
      "20,10",
      "10,5",
      "5,2",
      "2,1",
    ]);
    expect(gpu.pool.usedBytes).toBe(usedBytes);
  });

  test("half an engine has half the KV cache, but what the longest sequence needs", async () => {
    const model = await toyModel("float32", scarce.gpu);
    const size = engineSize(model, { blockSize: 4, maxNumSeqs: 16, kvCacheBytes: 2 ** 15 });
    const half = engineSize(model, shareOfEngine(model, size, 8));
    expect(half).toEqual({ ...size, maxNumSeqs: 8, numBlocks: Math.floor(size.numBlocks / 2) });
    const quarter = engineSize(model, shareOfEngine(model, size, 4));
    expect(quarter).toEqual({ ...size, maxNumSeqs: 4, numBlocks: 32 / 4 });
  });
});
