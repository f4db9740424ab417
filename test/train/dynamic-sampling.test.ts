import { expect, test } from "vitest";
import { loadCheckpoint, saveCheckpoint } from "../../src/train/checkpoint.ts";
import { replaceFlat } from "../../src/train/dynamic-sampling.ts";
import type { ScoredGroup } from "../../src/train/rewards.ts";
import { trainRl, type RlIteration, type RlOptions } from "../../src/train/rl.ts";
import type { Rollout } from "../../src/train/rollouts.ts";
import { testGpu } from "../helpers/gpu.ts";
import { files, temporaryFolder } from "../helpers/host.ts";
import { ADAMW, TOY_RL, toySetup } from "../helpers/toy.ts";

const folder = temporaryFolder();

const group = (...rewards: number[]): ScoredGroup => ({
  rollouts: rewards.map(() => ({ length: 10 }) as Rollout),
  said: {},
  rewards,
});

test("only groups without a spread give way, in their places, until none is left or the rounds are over", async () => {
  const [mixed, flat, wrong] = [group(0, 1), group(1, 1), group(0, 0)];
  const drawn: [number, number][] = [];
  const coming = [group(0.5, 0.5), group(1, 0), group(0.9, 1)];
  const draw = (round: number, count: number) => {
    drawn.push([round, count]);
    return Promise.resolve(coming.splice(0, count));
  };
  const { groups, discarded } = await replaceFlat([flat, mixed, wrong], 5, draw);
  expect(drawn).toEqual([
    [0, 2],
    [1, 1],
  ]);
  expect(groups.map(({ rewards }) => rewards)).toEqual([
    [0.9, 1],
    [0, 1],
    [1, 0],
  ]);
  expect(discarded).toEqual({
    "dynamic_sampling/discarded_groups": 0.5,
    "dynamic_sampling/discarded_tokens": 60,
    "dynamic_sampling/rounds": 2,
  });
  const bounded = await replaceFlat([flat], 1, () => Promise.resolve([wrong]));
  expect(bounded.groups).toEqual([wrong]);
  const never = () => Promise.reject(new Error("expected no draw"));
  expect((await replaceFlat([flat], 0, never)).groups).toEqual([flat]);
  expect((await replaceFlat([mixed], 3, never)).groups).toEqual([mixed]);
});

const OPTIONS: RlOptions = { ...TOY_RL, alpha: { alpha: 0 }, dynamicSampling: 3, numGenerations: 4, maxIterations: 4 };

const timeless = (iterations: RlIteration[]) =>
  iterations.map(({ metrics: { rollout_time: _r, step_time: _s, ...metrics }, rollouts }) => ({ metrics, rollouts }));

test("iterations train on groups with a spread; prompts that are replaced draw under keys of their own", async () => {
  const plain = await Array.fromAsync(trainRl(await toySetup("float32"), { ...OPTIONS, dynamicSampling: 0 }));
  const iterations = await Array.fromAsync(trainRl(await toySetup("float32"), OPTIONS));
  expect(plain[0]!.metrics.frac_reward_zero_std).toBeGreaterThan(0);
  expect(iterations[0]!.metrics.frac_reward_zero_std).toBeLessThan(plain[0]!.metrics.frac_reward_zero_std);
  expect(plain[0]!.metrics).not.toHaveProperty("dynamic_sampling/rounds");
  const ids = iterations.flatMap(({ rollouts }) => [...new Set(rollouts.map(({ promptId }) => promptId))]);
  expect(new Set(ids).size).toBe(OPTIONS.numPrompts * OPTIONS.maxIterations);
  expect(ids.some((id) => id >= 2 ** 31)).toBe(true);
  for (const { metrics } of iterations) {
    expect(metrics["dynamic_sampling/rounds"]).toBeLessThanOrEqual(3);
    const isWhole = metrics["dynamic_sampling/rounds"]! < 3;
    if (isWhole) expect(metrics.frac_reward_zero_std).toBe(0);
    expect(metrics["dynamic_sampling/discarded_groups"]! > 0).toBe(metrics["dynamic_sampling/rounds"]! > 0);
  }
  // Where nothing is replaced, nothing changes: the first prompts are the same.
  const kept = iterations[0]!.rollouts.filter(({ promptId }) => promptId < 2 ** 31);
  const first = plain[0]!.rollouts.filter(({ promptId }) => kept.some((rollout) => rollout.promptId === promptId));
  expect(kept.map(({ tokenIds }) => tokenIds)).toEqual(first.map(({ tokenIds }) => tokenIds));
});

test("a run resumed from a checkpoint draws what an uninterrupted one draws, to the bit", async () => {
  const whole = await Array.fromAsync(trainRl(await toySetup("float32"), OPTIONS));
  const setup = await toySetup("float32");
  const half = await Array.fromAsync(trainRl(setup, { ...OPTIONS, maxIterations: 2 }));
  const { model, optimizer } = setup;
  const path = await saveCheckpoint(files, folder, { model, optimizer, state: { step: 2, num_tokens: 0 } });
  const loaded = await loadCheckpoint(await testGpu(), files, path, { dtype: "float32", optimizer: ADAMW });
  const rest = await Array.fromAsync(trainRl({ ...setup, ...loaded }, OPTIONS, { done: 2 }));
  expect(timeless([...half, ...rest])).toEqual(timeless(whole));
});
