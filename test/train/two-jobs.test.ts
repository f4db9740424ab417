import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { LLM } from "../../src/engine/llm.ts";
import type { DeviceGpu } from "../../src/gpu/device-gpu.ts";
import type { Gpu } from "../../src/gpu/gpu.ts";
import type { Model } from "../../src/model/model.ts";
import { AdamW } from "../../src/train/optimizer.ts";
import { Sampler } from "../../src/train/sampler.ts";
import { trainSft, type Example, type SftOptions } from "../../src/train/sft.ts";
import { openGpu } from "../helpers/host.ts";
import { failingJob, lacksMemory, type Failure, type FailingJob } from "../helpers/scarce-gpu.ts";
import { ADAMW, toyModel, weightDigest } from "../helpers/toy.ts";

const SAMPLING = { n: 2, temperature: 1, topK: 0, topP: 1, maxTokens: 9, seed: 4, stopTokenIds: [] };
const REQUESTS = [{ promptId: 3, promptTokenIds: [9, 2, 10] }];
const ENGINE = { maxNumSeqs: 2, blockSize: 4 };

/** A page's answer, with an engine of its own: tokens and log-probabilities. */
async function answer(model: Model) {
  const llm = new LLM(model, ENGINE);
  try {
    return await llm.generate(REQUESTS, SAMPLING);
  } finally {
    llm.dispose();
  }
}

/** A trainer's rollouts. */
async function rollOut(gpu: Gpu, onStart: () => void) {
  const model = await toyModel("float32", gpu, 1);
  const sampler = new Sampler(model, ENGINE);
  onStart();
  const outputs = await sampler.generate(REQUESTS, SAMPLING);
  model.dispose();
  return outputs;
}

/** An optimizer step of two micro-batches: what it reports, and the weights. */
async function step(gpu: Gpu, onStart: () => void) {
  const model = await toyModel("float32", gpu, 1);
  const optimizer = await AdamW.create(model, ADAMW);
  const options: SftOptions = {
    maxSteps: 1,
    tokensPerBatch: 14,
    tokensPerMicroBatch: 7,
    learningRate: 0.01,
    scheduler: "constant_with_warmup",
    warmupSteps: 0,
    recompute: false,
  };
  onStart();
  const [metrics] = await Array.fromAsync(trainSft(model, optimizer, examples(), options));
  const result = { ...metrics, step_time: 0, weights: await weightDigest(model) };
  optimizer.dispose();
  model.dispose();
  return result;
}

function* examples(): Generator<Example, never> {
  for (let i = 0; ; i++) yield { promptTokenIds: [9, 2 + i, 10], completionTokenIds: [11, 2, 5, 0] };
}

let gpu: DeviceGpu;
let job: FailingJob;
beforeAll(async () => {
  gpu = await openGpu();
  job = failingJob(gpu);
});
afterAll(() => gpu.dispose());

const canFail = async (failure: Failure): Promise<boolean> => failure === "refused" || lacksMemory(gpu);

const inTab = typeof document !== "undefined";

// Each allocation is once not there, in a tab every sixth, whose ways are the same; of those that are refused, which are faster found out,
// every third and ninth: no device takes part in a refusal.
describe.each<{ failure: Failure; stride: number }>([
  { failure: "refused", stride: inTab ? 9 : 3 },
  { failure: "not there", stride: inTab ? 6 : 1 },
])("wherever a buffer of one job is $failure", ({ failure, stride }) => {
  test.for([
    { name: "rollouts", work: rollOut, most: 20 },
    { name: "an optimizer step", work: step, most: 60 },
  ])("another model answers to the bit, and $name are done after all", async ({ work, most }, context) => {
    if (!(await canFail(failure))) return context.skip("the adapter has room for its largest buffer");
    Object.assign(job, { left: Infinity, failure });
    const model = await toyModel("float32", gpu, 1);
    const alone = { answer: await answer(model), work: await work(job.gpu, () => {}) };
    const { usedBytes } = gpu.pool;
    let failed = 0;
    for (let at = 0; ; at += stride) {
      let isWorking = true;
      const answers = async () => {
        do expect(await answer(model)).toEqual(alone.answer);
        while (isWorking);
      };
      const working = work(job.gpu, () => (job.left = at)).finally(() => (isWorking = false));
      const [got] = await Promise.all([working, answers()]);
      expect(got, `allocation ${at}`).toEqual(alone.work);
      expect(gpu.pool.usedBytes).toBe(usedBytes);
      if (job.left >= 0) break;
      job.left = Infinity;
      failed++;
    }
    expect(failed).toBeGreaterThan(most / stride);
    model.dispose();
  });

  test("another model is trained to the bit, and the next answer is right", async (context) => {
    if (!(await canFail(failure))) return context.skip("the adapter has room for its largest buffer");
    Object.assign(job, { left: Infinity, failure });
    const model = await toyModel("float32", job.gpu, 1);
    const alone = { answer: await answer(model), step: await step(gpu, () => {}) };
    const { usedBytes } = gpu.pool;
    let failed = 0;
    for (let at = 0; ; at += stride) {
      const training = step(gpu, () => {});
      job.left = at;
      const got = await answer(model).catch((error: unknown) => error);
      const isOver = job.left >= 0;
      job.left = Infinity;
      if (isOver) expect(got).toEqual(alone.answer);
      else expect(got).toMatchObject({ name: "OutOfMemoryError" });
      expect(await answer(model)).toEqual(alone.answer);
      expect(await training, `allocation ${at}`).toEqual(alone.step);
      expect(gpu.pool.usedBytes).toBe(usedBytes);
      if (isOver) break;
      failed++;
    }
    expect(failed).toBeGreaterThan(20 / stride);
    model.dispose();
  });
});
