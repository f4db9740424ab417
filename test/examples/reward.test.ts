import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import remarks from "../../examples/reward.ts";
import { loadTokenizer } from "../../src/hf/tokenizer.ts";
import { Model } from "../../src/model/model.ts";
import { parseConfig } from "../../src/run/config.ts";
import { nodeFiles } from "../../src/runtime/files-node.ts";
import { arithmeticTask } from "../../src/tasks/arithmetic.ts";
import { stopTokenIds } from "../../src/hf/generation-config.ts";
import { adamwOptions, rlOptions } from "../../src/train/options.ts";
import { AdamW } from "../../src/train/optimizer.ts";
import { loadRewards } from "../../src/train/rewards.ts";
import { trainRl } from "../../src/train/rl.ts";
import { testGpu } from "../helpers/gpu.ts";

const path = (name: string) => new URL(`../../${name}`, import.meta.url).pathname;

const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
/** As TRL has it, with n - 1. */
const std = (values: readonly number[]) =>
  Math.sqrt(values.reduce((sum, value) => sum + (value - mean(values)) ** 2, 0) / (values.length - 1));

const INPUTS = { prompts: [], completion_ids: [], answer: [], difficulty: [], problem_id: [] };

test("counts remarks, and says nothing of a response without a box", async () => {
  const completions = ["1+1=2\n\\boxed{2}", "I get 2. Let me check.\nI got 2, now 2 again.\n\\boxed{2}", "I get 2."];
  expect(await remarks({ ...INPUTS, completions })).toEqual([1, 0.5, null]);
});

test("the bundled reasoner trains on a graded verdict and on it, and both are measured", async () => {
  const gpu = await testGpu();
  const config = parseConfig({
    rl: {
      num_prompts: 2,
      num_generations: 4,
      max_iterations: 2,
      max_completion_length: 160,
      beta: 0,
      rewards: [{ name: "correct" }, { name: path("examples/reward.ts"), weight: 0.1 }],
    },
    optim: { learning_rate: 4e-4, warmup_steps: 0 },
  });
  const folder = path("models/reasoner");
  const model = await Model.load(gpu, nodeFiles, folder, { dtype: "bfloat16" });
  const tokenizer = await loadTokenizer(nodeFiles, folder);
  const task = arithmeticTask({ num_train: 10, num_test: 0 });
  const setup = {
    model,
    reference: null,
    optimizer: await AdamW.create(model, adamwOptions(config)),
    tokenizer,
    stopTokenIds: await stopTokenIds(nodeFiles, folder, model.config, tokenizer),
    rewards: await loadRewards(config.rl.rewards, (file) => import(pathToFileURL(file).href)),
    // Half a point for a box, right or wrong.
    task: {
      ...task,
      judge: (...given: Parameters<typeof task.judge>) => {
        const verdict = task.judge(...given);
        return { ...verdict, reward: verdict.correct ? 1 : verdict.extracted === "" ? 0 : 0.5 };
      },
    },
  };
  for await (const { metrics, rollouts } of trainRl(setup, rlOptions(config))) {
    expect(metrics.grad_norm).toBeGreaterThan(0);
    const scores = rollouts.map(({ score }) => score);
    const said = await remarks({ ...INPUTS, completions: rollouts.map(({ text }) => text) });
    const measured = { correct: scores, reward: said.filter((value) => value !== null) };
    for (const [name, values] of Object.entries(measured)) {
      expect(metrics[`rewards/${name}/mean` as const]).toBeCloseTo(mean(values), 12);
      expect(metrics[`rewards/${name}/std` as const]).toBeCloseTo(std(values), 12);
    }
    rollouts.forEach(({ correct, score, reward }, i) => {
      if (!correct) expect(reward).toBeCloseTo(score + 0.1 * (said[i] ?? 0), 12);
      else expect(reward).toBeGreaterThan(0.9);
    });
  }
});
