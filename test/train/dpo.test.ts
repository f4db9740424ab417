import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { FinishReason } from "../../src/engine/sequence.ts";
import { packSequences } from "../../src/model/batch.ts";
import { nodeFiles } from "../../src/runtime/files-node.ts";
import { loadCheckpoint, saveCheckpoint } from "../../src/train/checkpoint.ts";
import { trainDpo, type DpoMetrics, type DpoOptions, type PreferencePair } from "../../src/train/dpo.ts";
import type { Rollout } from "../../src/train/rollouts.ts";
import { tokenLogprobs } from "../../src/train/policy.ts";
import { selectResponses } from "../../src/train/rejection.ts";
import { testGpu } from "../helpers/gpu.ts";
import { ADAMW, toySetup, weightBytes } from "../helpers/toy.ts";

const OPTIONS: DpoOptions = {
  lossType: "sigmoid",
  beta: 0.3,
  simpoGamma: 0,
  maxSteps: 5,
  pairsPerBatch: 3,
  tokensPerMicroBatch: 24,
  learningRate: 0.01,
  scheduler: "cosine",
  warmupSteps: 1,
  seed: 3,
  recompute: false,
};

const PAIRS: PreferencePair[] = [
  { promptTokenIds: [9, 2, 10], chosen: [2, 0], rejected: [11, 11, 2, 0] },
  { promptTokenIds: [9, 3, 10], chosen: [3, 0], rejected: [12, 11, 12, 3, 0] },
  { promptTokenIds: [9, 4, 10], chosen: [4, 0], rejected: [11, 4, 0] },
  { promptTokenIds: [9, 5, 10], chosen: [5, 0], rejected: [12, 12, 12, 12, 5, 0] },
];

const timeless = (metrics: DpoMetrics[]) => metrics.map(({ step_time: _time, ...rest }) => rest);

async function run(options: DpoOptions) {
  const setup = await toySetup("float32");
  return {
    ...setup,
    metrics: await Array.fromAsync(trainDpo(setup.model, setup.reference!, setup.optimizer, PAIRS, options)),
  };
}

test("begins at log 2 and comes to prefer what was chosen", async () => {
  const { model, reference, metrics } = await run({ ...OPTIONS, maxSteps: 40 });
  expect(metrics[0]!.loss).toBeCloseTo(Math.LN2, 6);
  expect(metrics[0]!["rewards/margins"]).toBe(0);
  expect(metrics.at(-1)!.loss).toBeLessThan(0.2);
  expect(metrics.at(-1)!["rewards/accuracies"]).toBe(1);
  const likelihood = async (of: typeof model, pair: PreferencePair, side: "chosen" | "rejected") => {
    const packed = packSequences([[...pair.promptTokenIds, ...pair[side]]]);
    const { logprobs } = await tokenLogprobs(of, packed, { temperature: 1 });
    return logprobs.slice(3).reduce((a, b) => a + b, 0);
  };
  for (const pair of PAIRS) {
    const gain = async (side: "chosen" | "rejected") =>
      (await likelihood(model, pair, side)) - (await likelihood(reference!, pair, side));
    expect(await gain("chosen")).toBeGreaterThan((await gain("rejected")) + 1);
  }
});

test("SimPO's loss is that of the mean log-probabilities, comes down without a reference, and prefers what was chosen", async () => {
  const simpo: DpoOptions = { ...OPTIONS, lossType: "simpo", beta: 2, simpoGamma: 0.5, pairsPerBatch: PAIRS.length };
  const { model, optimizer } = await toySetup("float32");
  const means = PAIRS.map(async ({ promptTokenIds, chosen, rejected }) => {
    const mean = async (response: readonly number[]) => {
      const packed = packSequences([[...promptTokenIds, ...response]]);
      const { logprobs } = await tokenLogprobs(model, packed, { temperature: 1 });
      return logprobs.slice(3).reduce((a, b) => a + b, 0) / response.length;
    };
    return 2 * ((await mean(chosen)) - (await mean(rejected)));
  });
  const margins = await Promise.all(means);
  const losses = margins.map((margin) => Math.log1p(Math.exp(0.5 - margin)));
  const metrics = await Array.fromAsync(trainDpo(model, null, optimizer, PAIRS, { ...simpo, maxSteps: 30 }));
  const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  expect(metrics[0]!.loss).toBeCloseTo(mean(losses), 5);
  expect(metrics[0]!["rewards/margins"]).toBeCloseTo(mean(margins), 5);
  expect(metrics.at(-1)!.loss).toBeLessThan(metrics[0]!.loss / 2);
  expect(metrics.at(-1)!["rewards/accuracies"]).toBe(1);
});

test("micro-batches and recomputation change nothing but rounding", async () => {
  const whole = await run({ ...OPTIONS, maxSteps: 2, tokensPerMicroBatch: 1000 });
  for (const change of [{ tokensPerMicroBatch: 7 }, { tokensPerMicroBatch: 1000, recompute: true }]) {
    const split = await run({ ...OPTIONS, maxSteps: 2, ...change });
    split.metrics.forEach(({ loss, grad_norm }, i) => {
      expect(loss).toBeCloseTo(whole.metrics[i]!.loss, 6);
      expect(Math.abs(grad_norm / whole.metrics[i]!.grad_norm - 1)).toBeLessThan(1e-5);
    });
  }
});

test("a run resumed from a checkpoint equals one that was not interrupted, to the bit", async () => {
  const whole = await run(OPTIONS);
  const dir = await mkdtemp(join(tmpdir(), "pith-dpo-"));
  try {
    const before = await toySetup("float32");
    const parts: DpoMetrics[] = [];
    let path = "";
    for await (const metrics of trainDpo(before.model, before.reference!, before.optimizer, PAIRS, OPTIONS)) {
      parts.push(metrics);
      if (metrics.step < 3) continue;
      path = await saveCheckpoint(nodeFiles, dir, { ...before, state: { step: 3, num_tokens: 0 } });
      break;
    }
    const { model, optimizer } = await loadCheckpoint(await testGpu(), nodeFiles, path, {
      dtype: "float32",
      optimizer: ADAMW,
    });
    parts.push(...(await Array.fromAsync(trainDpo(model, before.reference!, optimizer, PAIRS, OPTIONS))));
    expect(timeless(parts)).toEqual(timeless(whole.metrics));
    expect(await weightBytes(model)).toEqual(await weightBytes(whole.model));
  } finally {
    await rm(dir, { recursive: true });
  }
});

describe("selection of a model's own responses", () => {
  const group = (...outputs: [tokens: number[], correct: boolean, finishReason?: FinishReason][]) =>
    outputs.map(([tokenIds, correct, finishReason = "stop"]) => ({
      promptTokenIds: [7],
      tokenIds,
      finishReason,
      length: tokenIds.length,
      correct,
    })) as unknown as Rollout[];

  test("takes both ends of the correct ones", () => {
    const groups = [
      group([[1, 1, 1], true], [[2], false], [[3, 3], true], [[4, 4, 4, 4], true, "length"]),
      group([[5, 5], true], [[6], false]),
      group([[6], false]),
    ];
    expect(selectResponses(groups)).toEqual([
      { promptTokenIds: [7], shortest: [3, 3], longest: [1, 1, 1] },
      { promptTokenIds: [7], shortest: [5, 5], longest: null },
    ]);
  });
});
