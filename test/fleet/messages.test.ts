import { expect, test } from "vitest";
import { FormatError, PithError } from "../../src/errors.ts";
import { Draw } from "../../src/fleet/draw.ts";
import {
  decodeResult,
  decodeTask,
  encodeResult,
  encodeTask,
  type Result,
  type Task,
} from "../../src/fleet/messages.ts";
import { FuzzRandom } from "../helpers/fuzz.ts";

const WEIGHTS = "ab".repeat(32);
const KIND = "cd".repeat(32);
const OTHER_KIND = "ef".repeat(32);

const TASK: Task = {
  weights: WEIGHTS,
  reference: null,
  draw: "0123456789abcdef",
  promptId: 0xffffffff,
  firstSample: 2,
  samples: 2,
  maxTokens: 5,
  temperature: 0.6,
  topK: 20,
  topP: 0.95,
  minP: 0.05,
  seed: 2 ** 53 - 1,
  promptTokenIds: [1, 150_000, 3],
  stopTokenIds: [0, 9],
};

const draw = (reference: string | null = null) =>
  new Draw(
    [
      { promptId: 7, promptTokenIds: [1, 2] },
      { promptId: 8, promptTokenIds: [3] },
    ],
    { n: 3, temperature: 1, topK: 0, topP: 1, maxTokens: 4, seed: 1, stopTokenIds: [0] },
    { weights: WEIGHTS, reference, kind: KIND, vocabSize: 14, maxModelLen: 32 },
  );

/** An honest answer to a task. */
const answer = ({ weights, draw: id, promptId, firstSample, samples }: Task): Result => ({
  weights,
  draw: id,
  kind: KIND,
  promptId,
  firstSample,
  outputs: Array.from({ length: samples }, (_, s) =>
    s === 0
      ? { tokenIds: [5, 6, 0], logprobs: [-0.5, -0.25, Math.fround(-0.1)], finishReason: "stop" as const }
      : { tokenIds: [5, 6, 7, 8], logprobs: [-0.5, -0.25, -0.125, -2], finishReason: "length" as const },
  ),
});

/** The answer with scores of the reference, 0.5 below the policy's. */
const scored = (result: Result): Result => ({
  ...result,
  outputs: result.outputs.map((output) => ({ ...output, refLogprobs: output.logprobs.map((p) => p - 0.5) })),
});

test("where a reference scores, tasks name it and results have its log-probabilities", () => {
  expect(decodeTask(encodeTask({ ...TASK, reference: KIND }))).toEqual({ ...TASK, reference: KIND });
  const drawn = draw(WEIGHTS);
  const [task] = drawn.tasks as [Task];
  const result = scored({ ...answer(task), outputs: [{ tokenIds: [5, 0], logprobs: [-1, -2], finishReason: "stop" }] });
  expect(decodeResult(encodeResult(result))).toEqual(result);
  expect(drawn.take(encodeResult(answer(task)), "deaf")).toMatchObject({
    refused: expect.stringMatching(
      /expected the reference's log-probabilities beside the policy's, got none/,
    ) as string,
  });
  for (const one of drawn.tasks) expect(drawn.take(encodeResult(scored(answer(one))), "a")).toBe("new");
  const [first] = drawn.outputs()[0]!.outputs;
  expect(first!.refLogprobs).toEqual([-1, -0.75, Math.fround(Math.fround(-0.1) - 0.5)]);
  const otherwise = scored(answer(task));
  otherwise.outputs[0]!.refLogprobs![1] = -0.5;
  expect(() => drawn.take(encodeResult(otherwise), "b")).toThrow(/expected the same tokens and log-probabilities/);
});

test("tasks and results come back as they were sent, 8 bytes a token", () => {
  expect(decodeTask(encodeTask(TASK))).toEqual(TASK);
  const result = answer(TASK);
  const bytes = encodeResult(result);
  expect(decodeResult(bytes)).toEqual(result);
  expect(bytes.length).toBe(4 * 6 + 32 + 8 + 32 + 2 * 8 + 8 * 7);
});

test("a message is read at any offset of a shared buffer", () => {
  const bytes = encodeTask(TASK);
  const shared = new Uint8Array(bytes.length + 8);
  shared.set(bytes, 3);
  expect(decodeTask(shared.subarray(3, 3 + bytes.length))).toEqual(TASK);
});

test("a message that is cut short, longer, or of another format or kind is refused", () => {
  for (const [bytes, decode] of [
    [encodeTask(TASK), decodeTask],
    [encodeResult(answer(TASK)), decodeResult],
  ] as const) {
    for (let length = 0; length < bytes.length; length++)
      expect(() => decode(bytes.subarray(0, length))).toThrow(FormatError);
    expect(() => decode(Uint8Array.from([...bytes, 0]))).toThrow(/to end, got 1 more/);
    expect(() => decode(bytes.with(0, 1))).toThrow(/expected format 2, kind 0, got 1, 0/);
    expect(() => decode(bytes.with(4, 3))).toThrow(/expected format 2, kind 0, got 2, 3/);
  }
  expect(() => decodeTask(encodeTask({ ...TASK, topP: NaN }))).toThrow(FormatError);
  expect(() => decodeTask(encodeTask({ ...TASK, samples: 0 }))).toThrow(FormatError);
});

test("10,000 broken messages are refused in one line, or are no result for this draw, or change nothing", () => {
  const honest = draw();
  const originals = honest.tasks.map((task) => encodeResult(answer(task)));
  let refused = 0;
  for (let input = 0; input < 10_000; input++) {
    const random = new FuzzRandom(input);
    const bytes = random.mutate(random.pick(originals));
    try {
      decodeTask(bytes);
    } catch (error) {
      expect(error).toBeInstanceOf(FormatError);
    }
    const victim = draw();
    const verdict = victim.take(bytes, "stranger");
    if (typeof verdict === "string") continue; // other tokens of the right shape: only a replay tells
    refused++;
    expect(verdict.refused).not.toMatch(/[\n\r]/);
    expect(victim.finished).toBe(0);
  }
  expect(refused).toBeGreaterThan(7_000);
});

test("a draw takes each task's result once, in whatever order, and gives them back by request and sample", () => {
  const drawn = draw();
  expect(drawn.tasks.map(({ promptId, firstSample, samples }) => [promptId, firstSample, samples])).toEqual([
    [7, 0, 2],
    [7, 2, 1],
    [8, 0, 2],
    [8, 2, 1],
  ]);
  for (const task of drawn.tasks.toReversed()) {
    expect(drawn.take(encodeResult(answer(task)), "a")).toBe("new");
    expect(drawn.take(encodeResult(answer(task)), "b")).toBe("duplicate");
  }
  expect(drawn.missing).toEqual([]);
  expect(drawn.finished).toBe(6);
  const outputs = drawn.outputs();
  expect(outputs.map(({ promptId }) => promptId)).toEqual([7, 8]);
  expect(outputs[1]!.outputs.map(({ index }) => index)).toEqual([0, 1, 2]);
  expect(outputs[1]!.outputs[2]).toEqual({ index: 2, ...answer(drawn.tasks[0]!).outputs[0] });
});

test("samples that are asked for in parts are tasks and results from their first on", () => {
  const params = { n: 6, temperature: 1, topK: 0, topP: 1, maxTokens: 4, seed: 1, stopTokenIds: [0] };
  const parts = new Draw(
    [
      { promptId: 7, promptTokenIds: [1, 2], firstSample: 3, samples: 3 },
      { promptId: 8, promptTokenIds: [3], samples: 1 },
      { promptId: 7, promptTokenIds: [1, 2], samples: 2 },
    ],
    params,
    { weights: WEIGHTS, reference: null, kind: KIND, vocabSize: 14, maxModelLen: 32 },
  );
  expect(parts.tasks.map(({ promptId, firstSample, samples }) => [promptId, firstSample, samples])).toEqual([
    [7, 3, 2],
    [7, 5, 1],
    [8, 0, 1],
    [7, 0, 2],
  ]);
  for (const task of parts.tasks) expect(parts.take(encodeResult(answer(task)), "a")).toBe("new");
  const indices = parts.outputs().map(({ outputs }) => outputs.map(({ index }) => index));
  expect(indices).toEqual([[3, 4, 5], [0], [0, 1]]);
});

test("a draw's name tells its weights, requests and sampling apart", () => {
  const request = { promptId: 7, promptTokenIds: [1, 2] };
  const params = { n: 3, temperature: 1, topK: 0, topP: 1, maxTokens: 4, seed: 1, stopTokenIds: [0] };
  const context = { weights: WEIGHTS, reference: null, kind: KIND, vocabSize: 14, maxModelLen: 32 };
  const ids = [
    new Draw([request], params, context),
    new Draw([{ ...request, promptTokenIds: [1, 3] }], params, context),
    new Draw([{ ...request, samples: 2 }], params, context),
    new Draw([{ ...request, firstSample: 2 }], params, context),
    new Draw([request], { ...params, seed: 2 }, context),
    new Draw([request], params, { ...context, weights: KIND }),
    new Draw([request], params, { ...context, reference: WEIGHTS }),
  ].map(({ id }) => id);
  expect(new Set(ids).size).toBe(7);
  expect(new Draw([request], params, context).id).toBe(ids[0]);
});

test("what no honest sampler sends is refused, and is still missing", () => {
  const drawn = draw();
  const task = drawn.tasks[0]!;
  const good = answer(task);
  const first = good.outputs[0]!;
  const changed = (output: Partial<Result["outputs"][number]>): Result => ({
    ...good,
    outputs: [{ ...first, ...output }, good.outputs[1]!],
  });
  const lies: [Result, RegExp][] = [
    [{ ...good, weights: KIND }, /expected the weights/],
    [{ ...good, draw: "0000000000000000" }, /no task of this draw/],
    [{ ...good, promptId: 9 }, /no task of this draw/],
    [{ ...good, firstSample: 1 }, /no task of this draw/],
    [{ ...good, outputs: [first] }, /expected 2 samples, got 1/],
    [{ ...good, kind: OTHER_KIND }, /expected kind cdcd/],
    [changed({ tokenIds: [5, 14, 0] }), /tokens below 14, got 14/],
    [changed({ tokenIds: [5, 0, 0] }), /first stop token/],
    [changed({ tokenIds: [5, 6, 7] }), /expected the end "length", got stop/],
    [changed({ tokenIds: [5, 6, 7], finishReason: "length" }), /expected 4 tokens of what was cut off, got 3/],
    [changed({ finishReason: "length" }), /expected the end "stop", got length/],
    [
      changed({ tokenIds: [5, 6, 7, 8, 9], logprobs: [-1, -1, -1, -1, -1], finishReason: "length" }),
      /expected at most 4 tokens, got 5/,
    ],
    [changed({ logprobs: [-1, NaN, -1] }), /logprobs/],
    [changed({ logprobs: [-1, 0.5, -1] }), /logprobs/],
    [scored(good), /expected no log-probabilities beside the policy's, got 3/],
  ];
  for (const [lie, why] of lies) {
    const verdict = drawn.take(encodeResult(lie), "liar");
    expect(verdict).toMatchObject({ refused: expect.stringMatching(why) as string });
  }
  expect(drawn.missing).toHaveLength(4);
  expect(drawn.take(encodeResult(good), "honest")).toBe("new");
});

test("two workers of one kind that disagree end the run by name; another kind's are refused", () => {
  const strict = draw();
  const good = answer(strict.tasks[0]!);
  const other = {
    ...good,
    outputs: good.outputs.map((output) => ({ ...output, logprobs: output.logprobs.with(0, -0.75) })),
  };
  strict.take(encodeResult(good), "alice");
  expect(() => strict.take(encodeResult(other), "bob")).toThrow(PithError);
  expect(() => strict.take(encodeResult(other), "bob")).toThrow(/prompt 7, samples from 0: .*from alice than from bob/);
  expect(strict.take(encodeResult({ ...other, kind: OTHER_KIND }), "carol")).toMatchObject({
    refused: expect.stringMatching(/expected kind/) as string,
  });
});
