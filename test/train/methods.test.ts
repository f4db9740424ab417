import { expect, test } from "vitest";
import { LENGTH_REWARD_NAMES } from "../../src/core/length-rewards/index.ts";
import { latestCheckpoint, loadCheckpoint, saveCheckpoint } from "../../src/train/checkpoint.ts";
import { CORRECT, loadRewards, type NamedReward, type Records } from "../../src/train/rewards.ts";
import { trainRl, type RlIteration, type RlSetup } from "../../src/train/rl.ts";
import type { RlOptions } from "../../src/train/rl-options.ts";
import { testGpu } from "../helpers/gpu.ts";
import { files, temporaryFolder } from "../helpers/host.ts";
import { ADAMW, TOY_RL, toySetup, weightBytes } from "../helpers/toy.ts";

const folder = temporaryFolder();

async function run(options: Partial<RlOptions>, change: (setup: RlSetup) => Partial<RlSetup> = () => ({})) {
  const setup = await toySetup("float32");
  const iterations = await Array.fromAsync(
    trainRl({ ...setup, ...change(setup) }, { ...TOY_RL, maxIterations: 2, ...options }),
  );
  return { setup, iterations, weights: await weightBytes(setup.model) };
}

const norms = (iterations: RlIteration[]) => iterations.map(({ metrics }) => metrics.grad_norm);

test.each<Partial<RlOptions>>([
  { epsilonHigh: 0.28, learningRate: 0.02 },
  { delta: 1.001, learningRate: 0.02 },
  { lossType: "dapo" },
  { lossType: "dr_grpo" },
  { lossType: "cispo", epsilonHigh: 1.001 },
  { importanceSamplingLevel: "sequence" },
  { maskTruncatedCompletions: true, maxCompletionLength: 8, numGenerations: 12 },
  { numIterations: 2 },
  { advantage: "shrinkage" },
  { advantage: "batch" },
])("%j trains, and to other weights than without", async (options) => {
  const { iterations, weights } = await run(options);
  for (const norm of norms(iterations)) expect(norm).toBeGreaterThan(0);
  const { maxCompletionLength = 10, learningRate = TOY_RL.learningRate, numGenerations = 6 } = options;
  const plain = await run({ maxCompletionLength, learningRate, numGenerations });
  expect(weights).not.toEqual(plain.weights);
});

test("numIterations passes over the same responses take as many more optimizer steps", async () => {
  const { setup } = await run({ numIterations: 3 });
  expect(setup.optimizer.step).toBe(2 * TOY_RL.numSteps * 3);
});

test("a masked iteration in which every response is cut off trains nothing", async () => {
  const { iterations } = await run({ maskTruncatedCompletions: true, maxCompletionLength: 1, maxIterations: 1 });
  const [{ metrics, rollouts }] = iterations as [RlIteration];
  const cut = rollouts.filter(({ finishReason }) => finishReason === "length").length;
  expect(cut).toBeGreaterThan(0);
  for (const value of Object.values(metrics)) expect(value).not.toBeNaN();
});

test("the limit follows its stages", async () => {
  const { iterations } = await run({
    maxCompletionLength: [
      [0, 8],
      [1, 3],
    ],
  });
  const longest = iterations.map(({ metrics }) => metrics["completions/max_length"]);
  expect(longest[0]).toBeGreaterThan(3);
  expect(longest[1]).toBeLessThanOrEqual(3);
});

const REFERENCE = { initial: { meanLength: 6, accuracy: 0.5 }, target: 4 };

test.each(LENGTH_REWARD_NAMES)("%s trains", async (lengthReward) => {
  const { iterations } = await run({ lengthReward, scaleRewards: "group" }, ({ task }) => ({
    task: { ...task, train: task.train.map((problem) => ({ ...problem, reference: REFERENCE })) },
  }));
  for (const norm of norms(iterations)) expect(norm).toBeGreaterThan(0);
  for (const { rollouts } of iterations) for (const { reward } of rollouts) expect(reward).not.toBeNaN();
});

test("a length reward that needs more of a problem than there is says so", async () => {
  await expect(run({ lengthReward: "o1_pruner" })).rejects.toThrow(
    "rl.length_reward o1_pruner: expected reference.initial with every problem, got none with",
  );
});

test("HAPO's records are in the checkpoint: a resumed run equals one that was not interrupted, to the bit", async () => {
  const options: RlOptions = { ...TOY_RL, maxIterations: 4, lengthReward: "hapo", learningRate: 0.02 };
  const whole = await toySetup("float32");
  const records: Records = {};
  const iterations = await Array.fromAsync(trainRl(whole, options, { records }));
  expect(Object.keys(records).length).toBeGreaterThan(0);

  const first = await toySetup("float32");
  const half: Records = {};
  for await (const { metrics } of trainRl(first, options, { records: half })) if (metrics.iteration === 2) break;
  const state = { step: 2, num_tokens: 0, records: half };
  await saveCheckpoint(files, folder, { model: first.model, optimizer: first.optimizer, state });

  const path = (await latestCheckpoint(files, folder))!;
  const loaded = await loadCheckpoint(await testGpu(), files, path, { dtype: "float32", optimizer: ADAMW });
  const again = loaded.state.records!;
  expect(again).toEqual(half);
  const history = iterations.slice(0, 2).map(({ metrics }) => ({
    meanLength: metrics["completions/mean_length"],
    accuracy: metrics.accuracy,
  }));
  const setup = { ...first, model: loaded.model, optimizer: loaded.optimizer };
  await Array.fromAsync(trainRl(setup, options, { history, records: again }));
  expect(again).toEqual(records);
  expect(await weightBytes(loaded.model)).toEqual(await weightBytes(whole.model));
});

test("a graded reward and a second, weighted one: their sum is rewarded, each is measured, null counts nothing", async () => {
  const short: NamedReward = {
    name: "short",
    weight: 0.25,
    score: ({ completion_ids: ids }) => ids.map(({ length }) => (length > 6 ? null : 1 / length)),
  };
  const { iterations } = await run({ alpha: { alpha: 0 }, maxIterations: 1 }, ({ task }) => ({
    rewards: [CORRECT, short],
    task: {
      ...task,
      judge: (problem, response) => ({ ...task.judge(problem, response), reward: 1 / (1 + response.length) }),
    },
  }));
  const [{ metrics, rollouts }] = iterations as [RlIteration];
  const graded = rollouts.map(({ text, finishReason }) => (finishReason === "stop" ? 1 / (1 + text.length) : 0));
  const bonus = rollouts.map(({ length }) => (length > 6 ? null : 1 / length));
  rollouts.forEach(({ reward }, i) => expect(reward).toBeCloseTo(graded[i]! + 0.25 * (bonus[i] ?? 0), 12));

  const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  const std = (values: number[]) =>
    Math.sqrt(mean(values.map((v) => (v - mean(values)) ** 2)) * (values.length / (values.length - 1)));
  const said = bonus.filter((value) => value !== null);
  expect(said.length).toBeLessThan(bonus.length);
  expect(metrics["rewards/correct/mean"]).toBeCloseTo(mean(graded), 12);
  expect(metrics["rewards/correct/std"]).toBeCloseTo(std(graded), 12);
  expect(metrics["rewards/short/mean"]).toBeCloseTo(mean(said), 12);
  expect(metrics["rewards/short/std"]).toBeCloseTo(std(said), 12);
});

test.each([1.5, -0.1, NaN])("a task's reward of %d is refused", async (reward) => {
  const change = ({ task }: RlSetup) => ({
    task: { ...task, judge: (...given: Parameters<typeof task.judge>) => ({ ...task.judge(...given), reward }) },
  });
  await expect(run({}, change)).rejects.toThrow("task toy: expected a reward from 0 to 1 for");
});

test.each([
  [[1, 2], "one a response, got 2"],
  [Array(24).fill(NaN), "one a response, got NaN"],
  [Array(24).fill("1"), "one a response, got 1"],
  [undefined, "one a response, got something else"],
])("a reward function that gives %j is refused", async (given, message) => {
  const score = (() => given) as unknown as NamedReward["score"];
  await expect(run({}, () => ({ rewards: [{ name: "mine", weight: 1, score }] }))).rejects.toThrow(message);
});

test("rewards are loaded by path and named by their file", async () => {
  const module = { default: () => [] };
  const load = (...names: string[]) =>
    loadRewards(
      names.map((name) => ({ name, weight: 2 })),
      () => Promise.resolve(module),
    );
  expect(await load("correct", "./a/mine.ts")).toEqual([
    { name: "correct", weight: 2, score: null },
    { name: "mine", weight: 2, score: module.default },
  ]);
  await expect(load("./a/mine.ts", "b/mine.js")).rejects.toThrow("expected each name once, got mine twice");
  await expect(load("mine")).rejects.toThrow("expected correct or a module's path such as ./reward.ts, got mine");
  await expect(loadRewards([{ name: "./x.ts", weight: 1 }], () => Promise.resolve({}))).rejects.toThrow(
    "expected its default export to be a function",
  );
});
