import { expect, test } from "vitest";
import { latestCheckpoint, loadCheckpoint, saveCheckpoint } from "../../src/train/checkpoint.ts";
import { trainRl, type RlIteration } from "../../src/train/rl.ts";
import type { RlOptions } from "../../src/train/rl-options.ts";
import { testGpu } from "../helpers/gpu.ts";
import { files, temporaryFolder } from "../helpers/host.ts";
import { ADAMW, TOY_RL, toySetup, weightBytes } from "../helpers/toy.ts";

const folder = temporaryFolder();
const UNBOUNDED: RlOptions = { ...TOY_RL, maxIterations: 4, learningRate: 0.01 };

const responseTokens = ({ rollouts }: RlIteration) => rollouts.reduce((sum, { length }) => sum + length, 0);
const counts = (iterations: readonly RlIteration[]) => iterations.map(({ metrics }) => metrics.num_sampled_tokens);

async function run(options: RlOptions, sampled?: number): Promise<RlIteration[]> {
  return Array.fromAsync(trainRl(await toySetup("float32"), options, sampled === undefined ? {} : { sampled }));
}

test("training ends after the iteration in which the tokens sampled reach the bound", async () => {
  const all = await run(UNBOUNDED);
  const sums = all.map((_, i) => all.slice(0, i + 1).reduce((sum, one) => sum + responseTokens(one), 0));
  expect(counts(all)).toEqual(sums);
  expect(all.map(({ isLast }) => isLast)).toEqual([false, false, false, true]);

  for (const [bound, iterations] of [
    [1, 1],
    [sums[1]!, 2],
    [sums[1]! + 1, 3],
    [sums[3]! + 1000, 4],
  ] as const) {
    const bounded = await run({ ...UNBOUNDED, maxSampledTokens: bound });
    expect(counts(bounded)).toEqual(sums.slice(0, iterations));
    expect(bounded.map(({ isLast }) => isLast).indexOf(true)).toBe(iterations - 1);
  }
  // What a first pass took counts.
  expect(counts(await run({ ...UNBOUNDED, maxSampledTokens: sums[1]! }, sums[1]! - 1))).toEqual([
    sums[1]! - 1 + sums[0]!,
  ]);
});

test("what dynamic sampling throws away counts", async () => {
  const iterations = await run({ ...UNBOUNDED, maxIterations: 2, dynamicSampling: 2, alpha: { alpha: 0 } });
  let sum = 0;
  let discarded = 0;
  for (const iteration of iterations) {
    discarded += iteration.metrics["dynamic_sampling/discarded_tokens"]!;
    sum += responseTokens(iteration) + iteration.metrics["dynamic_sampling/discarded_tokens"]!;
    expect(iteration.metrics.num_sampled_tokens).toBe(sum);
  }
  expect(discarded).toBeGreaterThan(0);
});

test("with a lag nothing is drawn ahead of the last iteration", async () => {
  const [first] = await run({ ...UNBOUNDED, lag: 1, maxSampledTokens: 1 });
  expect(first!.isLast).toBe(true);
  expect(first!.ahead).toBe(null);
});

test("a run that lost its log goes on from its checkpoint's count, and ends with the same weights", async () => {
  const sums = counts(await run(UNBOUNDED));
  const options = { ...UNBOUNDED, maxIterations: 100, maxSampledTokens: sums[2]! };
  const whole = await toySetup("float32");
  expect(await Array.fromAsync(trainRl(whole, options))).toHaveLength(3);

  const begun = await toySetup("float32");
  for await (const { metrics } of trainRl(begun, options)) {
    if (metrics.iteration < 2) continue;
    const state = { step: 2, num_tokens: 0, num_sampled_tokens: metrics.num_sampled_tokens };
    await saveCheckpoint(files, folder, { model: begun.model, optimizer: begun.optimizer, state });
    break;
  }
  const path = (await latestCheckpoint(files, folder))!;
  const { model, optimizer, state } = await loadCheckpoint(await testGpu(), files, path, {
    dtype: "float32",
    optimizer: ADAMW,
  });
  expect(state.num_sampled_tokens).toBe(sums[1]);
  const rest = { done: state.step, sampled: state.num_sampled_tokens! };
  const resumed = await Array.fromAsync(trainRl({ ...begun, model, optimizer }, options, rest));
  expect(counts(resumed)).toEqual([sums[2]]);
  expect(await weightBytes(model)).toEqual(await weightBytes(whole.model));
  const ended = { done: 3, sampled: sums[2]! };
  expect(await Array.fromAsync(trainRl({ ...begun, model, optimizer }, options, ended))).toEqual([]);
});
