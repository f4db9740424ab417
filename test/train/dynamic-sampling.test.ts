import { expect, test } from "vitest";
import { LLM } from "../../src/engine/llm.ts";
import { loadCheckpoint, saveCheckpoint } from "../../src/train/checkpoint.ts";
import { firstResponses, replaceFlat } from "../../src/train/dynamic-sampling.ts";
import { trainRl, type RlIteration } from "../../src/train/rl.ts";
import type { RlOptions } from "../../src/train/rl-options.ts";
import type { Asked, Rollout } from "../../src/train/rollouts.ts";
import { testGpu } from "../helpers/gpu.ts";
import { files, temporaryFolder } from "../helpers/host.ts";
import { ADAMW, TOY_RL, toyModel, toySetup } from "../helpers/toy.ts";

const folder = temporaryFolder();

/**
 * Replaces among the prompts 0, 1 and so on, of which the responses' rewards are given: the first `places` are asked first. Returns
 * what was asked for in each batch besides, as [prompt, first response, how many], and what came of it.
 */
async function replaced(
  earned: readonly (readonly number[])[],
  places: number,
  { rounds, screen = 0 }: { rounds: number; screen?: number },
) {
  const options = { dynamicSampling: rounds, screenGenerations: screen, numGenerations: earned[0]!.length };
  const ask = (promptId: number) => ({ promptId }) as Asked;
  const respond = (asked: readonly Asked[]) =>
    asked.map(({ promptId, firstSample = 0, samples = options.numGenerations }) =>
      earned[promptId]!.slice(firstSample, firstSample + samples).map(
        (reward, i) => ({ promptId, index: firstSample + i, reward, length: 10 }) as Rollout,
      ),
    );
  const prompts = earned.map((_, promptId) => ask(promptId));
  const first = respond(firstResponses(prompts.splice(0, places), options));
  const batches: unknown[] = [];
  const { groups, discarded } = await replaceFlat(first, options, {
    instead: (_, count) => prompts.splice(0, count),
    draw: (asked) => {
      batches.push(asked.map(({ promptId, firstSample, samples }) => [promptId, firstSample, samples]));
      return Promise.resolve(respond(asked));
    },
    score: (some) =>
      Promise.resolve(some.map((rollouts) => ({ rollouts, said: {}, rewards: rollouts.map(({ reward }) => reward) }))),
  });
  for (const { rollouts } of groups) expect(rollouts.map(({ index }) => index)).toEqual(earned[0]!.map((_, i) => i));
  return { batches, rewards: groups.map(({ rewards }) => rewards), discarded: Object.values(discarded) };
}

test("only groups without a spread give way, in their places, until none is left or the rounds are over", async () => {
  const [mixed, flat, wrong] = [
    [0, 1],
    [1, 1],
    [0, 0],
  ] as const;
  expect(await replaced([[...flat], [...mixed], [...wrong], [0.5, 0.5], [1, 0], [0.9, 1]], 3, { rounds: 5 })).toEqual({
    batches: [
      [
        [3, undefined, undefined],
        [4, undefined, undefined],
      ],
      [[5, undefined, undefined]],
    ],
    rewards: [[0.9, 1], mixed, [1, 0]],
    discarded: [0.5, 60, 2],
  });
  expect((await replaced([flat, wrong], 1, { rounds: 1 })).rewards).toEqual([wrong]);
  for (const [group, rounds] of [
    [flat, 0],
    [mixed, 3],
  ] as const)
    expect(await replaced([group], 1, { rounds })).toEqual({ batches: [], rewards: [group], discarded: [0, 0, 0] });
});

test("screened, only what is kept gets its other responses, beside the first ones of what replaces the rest", async () => {
  const mixed = [0, 1, 1, 1];
  const late = [1, 1, 1, 0];
  const wrong = [0, 0, 0, 0];
  expect(await replaced([late, mixed, wrong, wrong, mixed, late], 3, { rounds: 2, screen: 2 })).toEqual({
    batches: [
      [
        [3, undefined, 2],
        [4, undefined, 2],
        [1, 2, 2],
      ],
      [
        [5, undefined, 2],
        [4, 2, 2],
      ],
      [[5, 2, 2]], // without a spread so far, but the rounds are over
    ],
    rewards: [late, mixed, mixed],
    discarded: [0.5, 60, 2], // two responses of each of three prompts
  });
  expect((await replaced([mixed], 1, { rounds: 2, screen: 3 })).batches).toEqual([[[0, 3, 1]]]);
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

test("a group that was drawn in two stages is, to the bit, the one that is drawn at once, and so is what it earns", async () => {
  const screened = { ...OPTIONS, alpha: { alpha: 0.2 }, screenGenerations: 2, maxIterations: 1 };
  let told = 0;
  const progress: [number, number][] = [];
  const [iteration] = await Array.fromAsync(
    trainRl(await toySetup("float32"), screened, {
      onTokens: ({ tokenIds }) => (told += tokenIds.length),
      onProgress: (done, total) => progress.push([done, total]),
    }),
  );
  const { rollouts, metrics } = iteration!;
  expect(metrics["dynamic_sampling/rounds"]).toBeGreaterThan(0);
  const drawn = rollouts.reduce((sum, { length }) => sum + length, 0);
  expect(metrics["dynamic_sampling/discarded_tokens"]).toBeGreaterThan(0);
  expect(drawn + metrics["dynamic_sampling/discarded_tokens"]!).toBe(told);
  expect(progress[7]).toEqual([8, 8]); // two responses to each of four prompts
  expect(progress.at(-1)![0]).toBe(progress.at(-1)![1]);

  const groups = Map.groupBy(rollouts, ({ promptId }) => promptId);
  expect(groups.size).toBe(OPTIONS.numPrompts);
  const model = await toyModel("float32");
  const llm = new LLM(model, {});
  const { numGenerations: n, temperature, topK, topP, seed } = screened;
  const params = { n, temperature, topK, topP, maxTokens: 10, seed, stopTokenIds: [0] };
  for (const [promptId, group] of groups) {
    const { promptTokenIds } = group[0]!;
    const [atOnce] = await llm.generate([{ promptId, promptTokenIds }], params);
    expect(
      group.map(({ index, tokenIds, logprobs, finishReason }) => ({ index, tokenIds, logprobs, finishReason })),
    ).toEqual(atOnce!.outputs);
  }
  llm.dispose();
  model.dispose();

  // Where nothing is replaced, the same iterations come of either draw.
  const all = { ...screened, dynamicSampling: 0, maxIterations: 2 };
  const whole = await Array.fromAsync(trainRl(await toySetup("float32"), { ...all, screenGenerations: 0 }));
  expect(timeless(await Array.fromAsync(trainRl(await toySetup("float32"), all)))).toEqual(timeless(whole));
});

test.each([0, 2])(
  "a run resumed from a checkpoint draws what an uninterrupted one draws, to the bit, with %i responses screened",
  async (screenGenerations) => {
    const options = { ...OPTIONS, screenGenerations };
    const whole = await Array.fromAsync(trainRl(await toySetup("float32"), options));
    expect(whole.slice(2).some(({ metrics }) => metrics["dynamic_sampling/rounds"]! > 0)).toBe(true);
    const setup = await toySetup("float32");
    const half = await Array.fromAsync(trainRl(setup, { ...options, maxIterations: 2 }));
    const checkpoint = { model: setup.model, optimizer: setup.optimizer, state: { step: 2, num_tokens: 0 } };
    const path = await saveCheckpoint(files, `${folder}/${screenGenerations}`, checkpoint);
    const loaded = await loadCheckpoint(await testGpu(), files, path, { dtype: "float32", optimizer: ADAMW });
    const sampled = half[1]!.metrics.num_sampled_tokens;
    const rest = await Array.fromAsync(trainRl({ ...setup, ...loaded }, options, { done: 2, sampled }));
    expect(timeless([...half, ...rest])).toEqual(timeless(whole));
  },
);
