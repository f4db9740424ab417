import { describe, expect, test } from "vitest";
import { LLM } from "../../src/engine/llm.ts";
import type { Model } from "../../src/model/model.ts";
import { MicroBatches } from "../../src/train/micro-batches.ts";
import { replay, type Claim, type ReplayOptions } from "../../src/train/replay.ts";
import { decodeWith, sampleRollouts } from "../../src/train/rollouts.ts";
import { trainRl } from "../../src/train/rl.ts";
import { TOY_RL, toyModel, toySetup, toyTask, toyTokenizer } from "../helpers/toy.ts";

const PARAMS: ReplayOptions = {
  temperature: 1,
  topK: 0,
  topP: 1,
  maxTokens: 12,
  seed: 2 ** 40 + 9,
  stopTokenIds: [0, 7],
  maxModelLen: 32,
  decode: decodeWith(toyTokenizer()),
};
const task = toyTask();

async function draw(model: Model, params = PARAMS): Promise<Claim[]> {
  const llm = new LLM(model, { maxModelLen: params.maxModelLen, maxNumSeqs: 7 });
  const host = { stopTokenIds: params.stopTokenIds, firstPromptId: 31 };
  const groups = await sampleRollouts(llm, toyTokenizer(), task, task.train, 8, params, host);
  llm.dispose();
  return groups.flat();
}

const check = (model: Model, claims: readonly Claim[], params = PARAMS) =>
  replay(model, new MicroBatches(100), claims, params);

/** `claims` with the one at `at` changed. */
const changed = (claims: readonly Claim[], at: number, change: (claim: Claim) => Partial<Claim>): Claim[] =>
  claims.map((claim, i) => (i === at ? { ...claim, ...change(claim) } : claim));

describe.each(["float32", "bfloat16"] as const)("replay in %s", (dtype) => {
  test.each([
    {},
    { temperature: 0.7 },
    { temperature: 0 },
    { topK: 3 },
    { topP: 0.8 },
    { minP: 0.2 },
    { stop: [" c", "b a"] },
    { maxTokens: 30, maxModelLen: 9 }, // the context ends before the limit
  ])("an honest sampler's responses have no difference: %o", async (change) => {
    const params = { ...PARAMS, ...change };
    const model = await toyModel(dtype);
    const claims = await draw(model, params);
    expect(new Set(claims.map(({ finishReason }) => finishReason)).size).toBeGreaterThan(
      change.temperature === 0 ? 0 : 1,
    );
    expect(await check(model, claims, params)).toEqual([]);
    model.dispose();
  });

  test("names the response and the token of each lie", async () => {
    const model = await toyModel(dtype);
    const claims = await draw(model);
    const at = claims.findIndex(({ tokenIds }) => tokenIds.length > 4);
    const edited = changed(claims, at, ({ tokenIds }) => ({ tokenIds: tokenIds.with(2, (tokenIds[2]! % 5) + 8) }));
    expect(await check(model, edited)).toMatchObject([{ claim: at, position: 2, what: "token" }]);

    const bit = Math.fround(claims[at]!.logprobs[3]! * (1 + 2 ** -23));
    expect(bit).not.toBe(claims[at]!.logprobs[3]);
    const nudged = changed(claims, at, ({ logprobs }) => ({ logprobs: logprobs.with(3, bit) }));
    expect(await check(model, nudged)).toEqual([
      { claim: at, position: 3, what: "logprob", claimed: bit, drawn: claims[at]!.logprobs[3] },
    ]);

    const cut = changed(claims, at, ({ tokenIds, logprobs }) => ({
      tokenIds: tokenIds.slice(0, 3),
      logprobs: logprobs.slice(0, 3),
    }));
    expect(await check(model, cut)).toMatchObject([{ claim: at, position: 2, what: "end", drawn: "goes on" }]);
    const stopped = claims.findIndex(({ finishReason }) => finishReason === "stop");
    const unstopped = changed(claims, stopped, () => ({ finishReason: "length" }));
    expect(await check(model, unstopped)).toMatchObject([
      { claim: stopped, what: "end", claimed: "length", drawn: "stop" },
    ]);
    const short = changed(claims, at, ({ logprobs }) => ({ logprobs: logprobs.slice(0, -1) }));
    expect(await check(model, short)).toMatchObject([{ claim: at, what: "logprob", claimed: "none" }]);
    model.dispose();
  });

  test("sees another seed, key, temperature, and the weights of one optimizer step before", async () => {
    const model = await toyModel(dtype);
    const claims = await draw(model);
    for (const change of [{ seed: PARAMS.seed + 1 }, { temperature: 0.9 }]) {
      expect((await check(model, claims, { ...PARAMS, ...change })).length).toBeGreaterThan(claims.length / 2);
    }
    const swapped = claims.map((claim) => ({ ...claim, index: claim.index ^ 1 }));
    expect((await check(model, swapped)).length).toBeGreaterThan(claims.length / 2);

    const setup = await toySetup(dtype);
    const one = { ...TOY_RL, maxIterations: 1, numSteps: 1, learningRate: 1e-3 };
    for await (const _ of trainRl(setup, one)) {
      // One step is all.
    }
    const older = await check(setup.model, claims);
    expect(older.length).toBe(claims.length);
    expect(older.every(({ position }) => position === 0)).toBe(true);
    for (const part of [setup.optimizer, setup.reference!, setup.model, model]) part.dispose();
  });
});
