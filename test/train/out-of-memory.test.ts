import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { OutOfMemoryError } from "../../src/errors.ts";
import type { Gpu } from "../../src/gpu/gpu.ts";
import { Budgets } from "../../src/train/budget.ts";
import type { AdamW } from "../../src/train/optimizer.ts";
import { loadCheckpoint, saveCheckpoint } from "../../src/train/checkpoint.ts";
import { trainDpo, type DpoOptions, type PreferencePair } from "../../src/train/dpo.ts";
import { trainRl, type RlIteration } from "../../src/train/rl.ts";
import type { RlOptions } from "../../src/train/rl-options.ts";
import { trainSft, type Example, type SftMetrics, type SftOptions } from "../../src/train/sft.ts";
import { paceOf } from "../helpers/gpu.ts";
import { files, temporaryFolder } from "../helpers/host.ts";
import { heard, lacksMemory, limitBuffers, makePlenty, scarceGpu, type ScarceGpu } from "../helpers/scarce-gpu.ts";
import { ADAMW, TOY_RL, toySetup, weightDigest } from "../helpers/toy.ts";

/** f32 of the widest activation of the toy model, an MLP's 48 numbers a token. */
const TOKEN_BYTES = 4 * 48;

let scarce: ScarceGpu;
beforeAll(async () => {
  scarce = await scarceGpu();
});
afterAll(() => scarce.gpu.dispose());
beforeEach(() => makePlenty(scarce));

const timeless = <M extends { step_time: number }>(metrics: readonly M[]) =>
  metrics.map(({ step_time: _time, ...rest }) => rest);

/** Lengths of a batch of 51 tokens, with the micro-batches that budgets of 32 and 16 tokens make of it. */
const PACKED = [13, 13, 10, 10, 5]; // 13 + 13, 10 + 10 + 5; 13, 13, 10, 10 + 5
const LONG_FIRST = [20, 13, 13, 5]; // 20, 13 + 13 + 5; 20, 13, 13, 5

/** Demonstrations of these lengths without end. */
function* examples(lengths: readonly number[]): Generator<Example, never> {
  for (let i = 0; ; i++) {
    const completionTokenIds = Array.from({ length: lengths[i % lengths.length]! - 3 }, (_, t) => (7 * i + 3 * t) % 14);
    yield { promptTokenIds: [9, 2 + (i % 5), 10], completionTokenIds };
  }
}

const SFT: SftOptions = {
  maxSteps: 2,
  tokensPerBatch: 51,
  tokensPerMicroBatch: 32,
  learningRate: 0.01,
  scheduler: "constant_with_warmup",
  warmupSteps: 0,
  recompute: false,
};

/**
 * Two steps, `spoil` called between them: their metrics, the weights, warnings, and bytes in use beyond those of the first step.
 * `second` is the second step's budget.
 */
async function sft(
  gpu: Gpu,
  {
    spoil = () => {},
    lengths = PACKED,
    second = SFT.tokensPerMicroBatch,
    recompute = false,
  }: { spoil?: (optimizer: AdamW) => void; lengths?: number[]; second?: number; recompute?: boolean } = {},
) {
  const { model, optimizer, reference } = await toySetup("float32", gpu);
  const warnings: string[] = [];
  const onWarning = (message: string) => heard(scarce, warnings, message);
  const first = trainSft(model, optimizer, examples(lengths), { ...SFT, recompute, maxSteps: 1 }, { onWarning });
  const metrics: SftMetrics[] = await Array.fromAsync(first);
  const { usedBytes } = gpu.pool;
  spoil(optimizer);
  const options = { ...SFT, recompute, tokensPerMicroBatch: second };
  metrics.push(...(await Array.fromAsync(trainSft(model, optimizer, examples(lengths), options, { onWarning }))));
  if (scarce.failures === Infinity) makePlenty(scarce); // what is read below is not the step's
  const result = {
    metrics: timeless(metrics),
    weights: await weightDigest(model),
    warnings,
    leaked: gpu.pool.usedBytes - usedBytes,
  };
  optimizer.dispose();
  reference!.dispose();
  model.dispose();
  return result;
}

test.each([false, true])("a step that runs out of memory once tries once more, recomputation %s", async (recompute) => {
  const whole = await sft(scarce.gpu, { recompute });
  let refused = 0;
  for (let grants = 0; ; grants += 17) {
    const got = await sft(scarce.gpu, { recompute, spoil: () => Object.assign(scarce, { grants, refusals: 1 }) });
    expect(got).toEqual(whole);
    if (scarce.refusals > 0) break;
    makePlenty(scarce);
    refused++;
  }
  expect(refused).toBeGreaterThan(8);
});

describe("a step that runs out of memory twice goes on with half the tokens, as one that had no more from its start", () => {
  test.each([false, true])("wherever a buffer is refused, recomputation %s", async (recompute) => {
    const whole = await sft(scarce.gpu, { recompute });
    const half = await sft(scarce.gpu, { recompute, second: 16 });
    expect(half.weights).not.toEqual(whole.weights);
    let refused = 0;
    for (let grants = 0; ; grants += 13) {
      const got = await sft(scarce.gpu, { recompute, spoil: () => Object.assign(scarce, { grants, refusals: 2 }) });
      if (scarce.refusals > 0) {
        expect(got).toEqual(whole);
        break;
      }
      expect(got.warnings).toHaveLength(1);
      expect(got.warnings[0]).toMatch(
        /^out of memory with micro-batches of 32 tokens; goes on with 16 \(expected a buf/,
      );
      expect({ ...got, warnings: [] }).toEqual(half);
      makePlenty(scarce);
      refused++;
    }
    expect(refused).toBeGreaterThan(10);
  });

  test("where the device has none, in the first and in the second micro-batch, forward and backward", async (context) => {
    if (!(await lacksMemory(scarce.gpu))) return context.skip("the adapter has room for its largest buffer");
    const half = await sft(scarce.gpu, { second: 16 });
    let failed = 0;
    for (let creations = 0; ; creations += 17) {
      const spoil = () => {
        scarce.gpu.pool.trim(); // so that the step makes its buffers anew
        Object.assign(scarce, { creations, failures: Infinity });
      };
      const got = await sft(scarce.gpu, { spoil });
      if (got.warnings.length === 0) break;
      expect(got.warnings).toHaveLength(1);
      expect(got.warnings[0]).toMatch(/goes on with 16 \(the GPU is out of memory/);
      expect({ ...got, warnings: [] }).toEqual(half);
      failed++;
    }
    expect(failed).toBeGreaterThan(2);
  });

  test("in the second micro-batch alone, with the first one's gradients already added", async () => {
    const lengths = LONG_FIRST;
    const half = await sft(scarce.gpu, { lengths, second: 16 });
    const got = await sft(scarce.gpu, {
      lengths,
      spoil: (optimizer) => limitBuffers(scarce, 25 * TOKEN_BYTES, optimizer),
    });
    expect(got.warnings).toHaveLength(1);
    expect({ ...got, warnings: [] }).toEqual(half);
  });

  test("and halves again where half is still too much; later steps keep to it", async () => {
    const { model, optimizer } = await toySetup("float32", scarce.gpu);
    model.rope(32);
    const warnings: string[] = [];
    limitBuffers(scarce, 25 * TOKEN_BYTES, optimizer);
    const options = { ...SFT, maxSteps: 3, tokensPerMicroBatch: 64 };
    const onWarning = (message: string) => void warnings.push(message);
    await Array.fromAsync(trainSft(model, optimizer, examples(LONG_FIRST), options, { onWarning }));
    expect(
      warnings.map((warning) => /with micro-batches of (\d+) tokens; goes on with (\d+)/.exec(warning)!.slice(1)),
    ).toEqual([
      ["64", "32"],
      ["32", "16"],
    ]);
  });
});

test("a run resumed after memory ran out goes on to the bits of the one that was not interrupted", async () => {
  const options: SftOptions = { ...SFT, maxSteps: 4 };
  const dir = temporaryFolder();
  const { model, optimizer } = await toySetup("float32", scarce.gpu);
  const budgets = new Budgets();
  const whole: SftMetrics[] = [];
  let checkpoint = "";
  for await (const metrics of trainSft(model, optimizer, examples(PACKED), options, { budget: budgets.microBatch })) {
    whole.push(metrics);
    if (metrics.step === 1) Object.assign(scarce, { grants: 60, refusals: 2 });
    if (metrics.step === 2) {
      const state = { step: 2, num_tokens: 102, budgets: budgets.state };
      checkpoint = await saveCheckpoint(files, dir, { model, optimizer, state });
    }
  }
  expect(budgets.state.micro_batch).toEqual({ size: 16, patience: 16, left: 13 });

  const goOn = async (useBudgets: boolean) => {
    const loaded = await loadCheckpoint(scarce.gpu, files, checkpoint, { dtype: "float32", optimizer: ADAMW });
    const { microBatch } = new Budgets(useBudgets ? loaded.state.budgets : {});
    const steps = trainSft(loaded.model, loaded.optimizer, examples(PACKED), options, { budget: microBatch });
    const metrics = timeless(await Array.fromAsync(steps));
    return { metrics, weights: await weightDigest(loaded.model) };
  };
  const uninterrupted = { metrics: timeless(whole).slice(2), weights: await weightDigest(model) };
  expect(await goOn(true)).toEqual(uninterrupted);
  expect(await goOn(false)).not.toEqual(uninterrupted);
});

test("the reference's log-probabilities and the update of an RL iteration share the smaller budget", async () => {
  const options: RlOptions = { ...TOY_RL, maxIterations: 2 };
  /** `largest` holds from the rollouts' end to the update's. */
  const run = async (gpu: Gpu, tokensPerMicroBatch: number, largest: number) => {
    const setup = await toySetup("float32", gpu);
    const { task } = setup;
    setup.task = { ...task, judge: (...args) => ((scarce.largest = largest), task.judge(...args)) };
    const warnings: string[] = [];
    const onWarning = (message: string) => void warnings.push(message);
    const iterations: RlIteration[] = [];
    for await (const iteration of trainRl(setup, { ...options, tokensPerMicroBatch }, { onWarning })) {
      iterations.push(iteration);
      scarce.largest = Infinity;
    }
    const metrics = timeless(iterations.map((iteration) => iteration.metrics));
    for (const row of metrics) row.rollout_time = 0;
    return {
      warnings,
      metrics,
      rollouts: iterations.map((i) => i.rollouts),
      weights: await weightDigest(setup.model),
    };
  };
  const half = await run(scarce.gpu, 64, Infinity);
  expect(half.warnings).toEqual([]);
  const got = await run(scarce.gpu, 128, 85 * TOKEN_BYTES);
  expect(got.warnings).toHaveLength(1);
  expect(got.warnings[0]).toMatch(/micro-batches of 128 tokens; goes on with 64/);
  expect({ ...got, warnings: [] }).toEqual(half);
});

test("preference optimisation likewise", async () => {
  const loss = { lossType: "sigmoid", beta: 0.3, simpoGamma: 0 } as const;
  const options: DpoOptions = { ...SFT, ...loss, maxSteps: 3, pairsPerBatch: 4, seed: 3, tokensPerMicroBatch: 80 };
  const pairs = [2, 5, 3, 4].map((color, i): PreferencePair => ({
    promptTokenIds: [9, color, 10],
    chosen: [color, 0],
    rejected: [...Array.from({ length: 5 + i }, () => 11), color, 0],
  }));
  const run = async (gpu: Gpu, tokensPerMicroBatch: number) => {
    const { model, reference, optimizer } = await toySetup("float32", gpu);
    const warnings: string[] = [];
    const onWarning = (message: string) => void warnings.push(message);
    const steps = trainDpo(model, reference!, optimizer, pairs, { ...options, tokensPerMicroBatch }, { onWarning });
    return { metrics: timeless(await Array.fromAsync(steps)), warnings, weights: await weightDigest(model) };
  };
  const half = await run(scarce.gpu, 40);
  scarce.largest = 45 * TOKEN_BYTES;
  const got = await run(scarce.gpu, 80);
  expect(got.warnings).toHaveLength(1);
  expect({ ...got, warnings: [] }).toEqual(half);
});

test("a sequence that does not fit alone is an error that says so, and leaves model and optimizer as they were", async () => {
  const { gpu } = scarce;
  const { model, optimizer } = await toySetup("float32", gpu);
  model.rope(32);
  const weights = await weightDigest(model);
  const { usedBytes } = gpu.pool;
  const warnings: string[] = [];
  limitBuffers(scarce, 19 * TOKEN_BYTES, optimizer);
  const step = trainSft(model, optimizer, examples(LONG_FIRST), SFT, {
    onWarning: (message) => void warnings.push(message),
  }).next();
  await expect(step).rejects.toThrow(OutOfMemoryError);
  await expect(step).rejects.toThrow(
    /expected memory for 20 tokens, which cannot be split, got none: expected a buffer/,
  );
  expect(warnings).toEqual([]);
  expect(gpu.pool.usedBytes).toBe(usedBytes);
  expect(await weightDigest(model)).toEqual(weights);
  expect(optimizer.step).toBe(0);
  for (const gradient of optimizer.gradients.values())
    expect((await gpu.readF32(gradient)).every((value) => value === 0)).toBe(true);
});

test("a step of short work is read once, however many micro-batches it has", async () => {
  const { model, optimizer } = await toySetup("float32", scarce.gpu);
  model.rope(32);
  const created = vi.spyOn(scarce.gpu.device, "createBuffer");
  try {
    await Array.fromAsync(trainSft(model, optimizer, examples(LONG_FIRST), { ...SFT, tokensPerMicroBatch: 16 }));
    const reads = created.mock.calls.filter(([{ usage }]) => usage & GPUBufferUsage.MAP_READ);
    expect(reads).toHaveLength(SFT.maxSteps);
  } finally {
    created.mockRestore();
  }
});

test("a step of long work waits between micro-batches, reports how far it is, and has the same bits", async () => {
  const run = async () => {
    const { model, optimizer } = await toySetup("float32", scarce.gpu);
    const progress: string[] = [];
    const options = { ...SFT, maxSteps: 1, tokensPerMicroBatch: 16 };
    const onProgress = (done: number, total: number) => void progress.push(`${done}/${total}`);
    await Array.fromAsync(trainSft(model, optimizer, examples(LONG_FIRST), options, { onProgress }));
    return { weights: await weightDigest(model), progress };
  };
  const isBusy = vi.spyOn(paceOf(scarce.gpu), "isBusy", "get").mockReturnValue(false);
  try {
    const short = await run();
    expect(short.progress).toEqual(["4/4"]);
    isBusy.mockReturnValue(true);
    const long = await run();
    expect(long.weights).toEqual(short.weights);
    expect(long.progress).toEqual(["0/4", "1/4", "2/4", "3/4", "4/4"]);
  } finally {
    isBusy.mockRestore();
  }
});
