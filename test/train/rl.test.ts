import { expect, test } from "vitest";
import { isCorrect } from "../../src/core/group.ts";
import { lengthRewards } from "../../src/core/length-rewards/sigmoid.ts";
import { latestCheckpoint, loadCheckpoint, saveCheckpoint } from "../../src/train/checkpoint.ts";
import { trainRl, type RlIteration } from "../../src/train/rl.ts";
import type { RlOptions } from "../../src/train/rl-options.ts";
import { testGpu } from "../helpers/gpu.ts";
import { files, temporaryFolder } from "../helpers/host.ts";
import { ADAMW, TOY_RL, toySetup, weightBytes } from "../helpers/toy.ts";

const folder = temporaryFolder();
const DTYPES = ["float32", "bfloat16"] as const;

async function run(options: RlOptions, dtype: (typeof DTYPES)[number] = "float32"): Promise<RlIteration[]> {
  return Array.fromAsync(trainRl(await toySetup(dtype), options));
}

/** Everything but how long it took. */
const timeless = (iterations: RlIteration[]) =>
  iterations.map(({ metrics: { rollout_time: _r, step_time: _s, ...metrics }, rollouts }) => ({ metrics, rollouts }));

test("an unchanged policy has the sampler's log-probabilities in the trainer, and the reference's", async () => {
  for (const dtype of DTYPES) {
    const iterations = await run({ ...TOY_RL, maxIterations: 3, learningRate: 0.01 }, dtype);
    expect(iterations.map(({ metrics }) => metrics["sampling/logp_difference_max"])).toEqual([0, 0, 0]);
    const kl = iterations.map(({ metrics }) => metrics.kl);
    expect(kl[0]).toBe(0);
    expect(kl[1]).not.toBe(0);
  }
});

test("with one optimizer step an iteration nothing is clipped and the loss is the mean advantage, negated", async () => {
  const [first] = await run({ ...TOY_RL, maxIterations: 1, numSteps: 1, beta: 0 });
  const { metrics, rollouts } = first!;
  expect(metrics.clip_ratio).toBe(0);
  const mean = rollouts.reduce((sum, { advantage }) => sum + advantage, 0) / rollouts.length;
  expect(metrics.loss).toBeCloseTo(-mean, 6);
  expect(metrics.grad_norm).toBeGreaterThan(0);
});

test("records and metrics describe the same responses", async () => {
  const [first] = await run({ ...TOY_RL, maxIterations: 1, maxCompletionLength: 6 });
  const { metrics, rollouts } = first!;
  expect(rollouts).toHaveLength(24);
  const cutOff = rollouts.filter(({ finishReason }) => finishReason === "length");
  expect(cutOff.length).toBeGreaterThan(0);
  expect(cutOff.every(({ correct, reward }) => !correct && reward === 0)).toBe(true);
  expect(metrics["completions/clipped_ratio"]).toBeCloseTo(cutOff.length / 24, 12);
  expect(metrics.accuracy).toBeCloseTo(rollouts.filter(({ correct }) => correct).length / 24, 12);
  expect(metrics.reward).toBeCloseTo(rollouts.reduce((sum, { reward }) => sum + reward, 0) / 24, 12);
  expect(metrics.num_tokens).toBe(rollouts.reduce((sum, { length }) => sum + length + 3, 0));
  for (let g = 0; g < 4; g++) {
    const group = rollouts.slice(6 * g, 6 * g + 6);
    expect(new Set(group.map(({ problem }) => problem.id)).size).toBe(1);
    expect(group.map(({ correct }) => correct)).toEqual(group.map(isCorrect));
    expect(group.map(({ reward }) => reward)).toEqual(lengthRewards(group, metrics.alpha));
    expect(group.reduce((sum, { advantage }) => sum + advantage, 0)).toBeCloseTo(0, 9);
  }
});

test("prompts are a new permutation of the training set each time it is through", async () => {
  const iterations = await run({
    ...TOY_RL,
    numPrompts: 5,
    numGenerations: 2,
    maxIterations: 3,
    maxCompletionLength: 2,
  });
  const orders = iterations.map(({ rollouts }) =>
    rollouts.filter((_, i) => i % 2 === 0).map(({ problem }) => problem.id),
  );
  for (const order of orders) expect(order.toSorted()).toEqual(["blue2", "green1", "one3", "red0", "two4"]);
  expect(new Set(orders.map((order) => order.join())).size).toBeGreaterThan(1);
});

test("micro-batches and recomputation change nothing but rounding", async () => {
  const options = { ...TOY_RL, maxIterations: 1, numSteps: 1 };
  const [whole] = await run({ ...options, tokensPerMicroBatch: 10_000 });
  for (const change of [
    { tokensPerMicroBatch: 30 },
    { tokensPerMicroBatch: 1 },
    { tokensPerMicroBatch: 10_000, recompute: true },
  ]) {
    const [split] = await run({ ...options, ...change });
    expect(split!.rollouts).toEqual(whole!.rollouts);
    expect(split!.metrics.loss).toBeCloseTo(whole!.metrics.loss, 6);
    expect(Math.abs(split!.metrics.grad_norm / whole!.metrics.grad_norm - 1)).toBeLessThan(1e-5);
  }
});

test("advantages can be whitened over the batch or normalised by group, and the KL term can be part of the loss", async () => {
  const options = { ...TOY_RL, maxIterations: 2, learningRate: 0.01 };
  const base = await run(options);
  for (const change of [
    { scaleRewards: "batch" },
    { scaleRewards: "group" },
    { lossType: "dapo" },
    { klEstimator: "k3", beta: 0.5 },
  ] as const) {
    const other = await run({ ...options, ...change });
    expect(other[0]!.rollouts.map(({ text }) => text)).toEqual(base[0]!.rollouts.map(({ text }) => text));
    expect(other[1]!.metrics.loss).not.toBe(base[1]!.metrics.loss);
    expect(Number.isFinite(other[1]!.metrics.grad_norm)).toBe(true);
  }
});

test("the reward rises and responses get shorter", async () => {
  const setup = await toySetup("float32");
  const task = { ...setup.task, train: setup.task.train.slice(0, 1) };
  const options = { ...TOY_RL, maxIterations: 12, numGenerations: 16, learningRate: 0.01 };
  const iterations = await Array.fromAsync(trainRl({ ...setup, task }, options));
  const mean = (part: RlIteration[], key: "reward" | "accuracy" | "completions/mean_length") =>
    part.reduce((sum, { metrics }) => sum + metrics[key], 0) / part.length;
  const [first, last] = [iterations.slice(0, 2), iterations.slice(-2)];
  expect(mean(first, "accuracy")).toBeLessThan(0.3);
  expect(mean(last, "accuracy")).toBeGreaterThan(0.9);
  expect(mean(last, "reward")).toBeGreaterThan(mean(first, "reward") + 0.5);
  expect(mean(last, "completions/mean_length")).toBeLessThan(mean(first, "completions/mean_length") / 2);
});

test("with lag 1 an iteration trains on what the weights before the last update draw", async () => {
  const options = { ...TOY_RL, lag: 1, maxIterations: 3, learningRate: 0.01 };
  const [first, second, third] = await run(options);
  const untrained = await toySetup("float32");
  const frozen = await Array.fromAsync(trainRl(untrained, { ...options, lag: 0, learningRate: 0 }));
  const tokens = (iteration: RlIteration | undefined) => iteration!.rollouts.map(({ tokenIds }) => tokenIds);
  expect(tokens(first)).toEqual(tokens(frozen[0]));
  expect(tokens(second)).toEqual(tokens(frozen[1]));
  expect(tokens(third)).not.toEqual(tokens(frozen[2]));
  const moved = [first, second, third].map((iteration) => iteration!.metrics["sampling/logp_difference_max"]);
  expect(moved[0]).toBe(0);
  expect(moved[1]).toBeGreaterThan(0);
  expect(moved[2]).toBeGreaterThan(0);
});

test.each(DTYPES.flatMap((dtype) => [0, 1].map((lag) => [dtype, lag] as const)))(
  "a run resumed from a checkpoint equals one that was not interrupted, to the bit (%s, lag %i)",
  async (dtype, lag) => {
    const options = {
      ...TOY_RL,
      alpha: { maxAccuracyDrop: 0.1 },
      lag,
      maxIterations: 6,
      warmupSteps: 3,
      learningRate: 0.01,
      scheduler: "cosine" as const,
    };
    const setup = await toySetup(dtype);
    const whole = await Array.fromAsync(trainRl(setup, options));

    const dir = `${folder}/${dtype}-${lag}`;
    await files.mkdir(dir);
    const before = await toySetup(dtype);
    const parts: RlIteration[] = [];
    for await (const iteration of trainRl(before, options)) {
      parts.push(iteration);
      if (parts.length < 5) continue;
      const { iteration: step, num_tokens, num_sampled_tokens } = iteration.metrics;
      await saveCheckpoint(files, dir, {
        model: before.model,
        optimizer: before.optimizer,
        state: { step, num_tokens, num_sampled_tokens },
        ahead: await iteration.ahead,
      });
      break;
    }
    const path = await latestCheckpoint(files, dir);
    const { state, ahead, ...loaded } = await loadCheckpoint(await testGpu(), files, path!, {
      dtype,
      optimizer: ADAMW,
    });
    const history = parts.map(({ metrics }) => ({
      meanLength: metrics["completions/mean_length"],
      accuracy: metrics.accuracy,
    }));
    const resumed = trainRl({ ...before, ...loaded }, options, { history, ahead, sampled: state.num_sampled_tokens! });
    parts.push(...(await Array.fromAsync(resumed)));

    expect(timeless(parts)).toEqual(timeless(whole));
    expect(await weightBytes(loaded.model)).toEqual(await weightBytes(setup.model));
  },
);

test("an abort leaves model and optimizer as after the last iteration", async () => {
  const setup = await toySetup("float32");
  const controller = new AbortController();
  const iterations = trainRl(setup, TOY_RL, { signal: controller.signal });
  await iterations.next();
  const weights = await weightBytes(setup.model);
  controller.abort(new Error("stop"));
  await expect(iterations.next()).rejects.toThrow("stop");
  expect(await weightBytes(setup.model)).toEqual(weights);
  expect(setup.optimizer.step).toBe(TOY_RL.numSteps);
});

test("a task without problems is refused", async () => {
  const setup = await toySetup("float32");
  const empty = { ...setup, task: { ...setup.task, train: [] } };
  await expect(trainRl(empty, TOY_RL).next()).rejects.toThrow(/task toy: expected problems/);
});
