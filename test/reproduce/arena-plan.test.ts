import { expect, test } from "vitest";
import { LENGTH_REWARD_NAMES } from "../../src/core/length-rewards/index.ts";
import { learningRateFactor } from "../../src/core/schedule.ts";
import { ARENA_METHODS, arenaPlan, BUDGET, LEFT_OUT, runsOf } from "../../src/reproduce/arena-plan.ts";
import type { Experiment } from "../../src/reproduce/experiment.ts";
import { deepMerge, loadConfig, parseConfig, type Config } from "../../src/run/config.ts";
import { rlOptions } from "../../src/train/options.ts";
import { inertReward } from "../../src/train/rewards.ts";
import { files } from "../helpers/host.ts";

const config = await loadConfig(files, ["configs/start.toml"], {});
const SIZE = { config, baseTokens: 90, budget: BUDGET };
const plan = arenaPlan({ ...SIZE, quick: false });
const runs = runsOf(plan);
const configOf = ({ overrides }: Experiment): Config => parseConfig(deepMerge(config, overrides));

test("every method of docs/methods.md has three strengths of one knob, but for those that are left out with a reason", () => {
  for (const { name, knob, strengths } of ARENA_METHODS) {
    const own = plan.methods.filter(({ method }) => method === name);
    expect(own.map(({ strength }) => strength)).toEqual(strengths);
    expect(own.every((experiment) => experiment.knob === knob)).toBe(true);
    expect(new Set(strengths).size).toBe(3);
  }
  const rewards = ARENA_METHODS.flatMap(({ name }) => LENGTH_REWARD_NAMES.filter((reward) => reward === name));
  const missing = LENGTH_REWARD_NAMES.filter((reward) => !rewards.includes(reward));
  expect(missing).toEqual(["l1_exact", "l1_max"]);
  for (const name of missing) expect(LEFT_OUT).toContain(name);
  expect(ARENA_METHODS.map(({ name }) => name)).toEqual(expect.arrayContaining(["dler", "sft", "dpo", "simpo"]));
});

test("alpha times scale_rewards has every pair, and shares its runs with the methods where they are the same", () => {
  const pairs = plan.scalings.map((experiment) => {
    const { alpha, scale_rewards: scale } = configOf(experiment).rl;
    return `${alpha} ${scale}`;
  });
  expect(new Set(pairs).size).toBe(9);
  expect(runs).toHaveLength(3 * ARENA_METHODS.length + 9 - 3);
  expect(new Set(runs.map(({ name }) => name)).size).toBe(runs.length);
});

test.each(runs)("$name is a configuration, and its length reward is felt", (experiment) => {
  const resolved = configOf(experiment);
  if (experiment.trainer !== "train") return;
  expect(inertReward(rlOptions(resolved))).toBe(null);
  // Of one method no two are the same run.
  const same = runs.filter((other) => JSON.stringify(configOf(other)) === JSON.stringify(resolved));
  expect(same).toEqual([experiment]);
});

test("each samples the budget, and no learning rate depends on how many iterations that takes", () => {
  for (const experiment of runs) {
    const { rl, rejection, optim } = configOf(experiment);
    if (experiment.trainer === "train") {
      expect(rl.max_sampled_tokens).toBe(BUDGET);
      expect(rl.max_iterations * rl.num_prompts * rl.num_generations).toBeGreaterThanOrEqual(BUDGET);
      for (const totalSteps of [40, 400])
        expect(learningRateFactor(optim.lr_scheduler_type, 30, { warmupSteps: optim.warmup_steps, totalSteps })).toBe(
          1,
        );
    } else {
      const tokens = rejection.num_prompts * rl.num_generations * SIZE.baseTokens;
      expect(tokens).toBeLessThanOrEqual(BUDGET);
      expect(tokens).toBeGreaterThan(0.98 * BUDGET);
    }
  }
});

test("what learns from another's samples samples as that does", () => {
  const sampling = (experiment: Experiment) => {
    const { rl, rejection, task } = configOf(experiment);
    return { rl, rejection, task };
  };
  const sharing = runs.filter(({ samples }) => samples !== undefined);
  expect(sharing.map(({ method }) => method)).toEqual(["dpo", "dpo", "dpo", "simpo", "simpo", "simpo"]);
  for (const experiment of sharing)
    expect(sampling(experiment)).toEqual(sampling(runs.find(({ name }) => name === experiment.samples)!));
});

test("a quick arena has the middle strength of each, and alpha's ends", () => {
  const quick = arenaPlan({ ...SIZE, quick: true });
  expect(quick.methods.map(({ method, strength }) => [method, strength])).toEqual(
    ARENA_METHODS.map(({ name, strengths }) => [name, strengths[1]]),
  );
  expect(quick.scalings.map(({ strength }) => strength)).toEqual([0.05, 0.4, 0.05, 0.4, 0.05, 0.4]);
});

test("docs/methods.md says the strengths of each", async () => {
  const lines = (await files.readText("docs/methods.md")).split("\n").filter((line) => line.startsWith("| `"));
  for (const { name, strengths } of ARENA_METHODS) {
    const rows = lines.filter((line) => line.includes(`\`${name}\``));
    expect(
      rows.some((row) => row.includes(`| ${strengths.join(", ")} `)),
      name,
    ).toBe(true);
  }
});
