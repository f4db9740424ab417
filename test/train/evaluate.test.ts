import { expect, test } from "vitest";
import { LLM } from "../../src/engine/llm.ts";
import { AdamW } from "../../src/train/optimizer.ts";
import { evaluate, type EvaluateOptions } from "../../src/train/evaluate.ts";
import { demonstrations, trainSft } from "../../src/train/sft.ts";
import { ADAMW, toyModel, toyTask, toyTokenizer } from "../helpers/toy.ts";

const OPTIONS: EvaluateOptions = { numSamples: 3, temperature: 1, topK: 0, topP: 1, maxCompletionLength: 8, seed: 4 };
const HOST = { stopTokenIds: [0] };
const task = toyTask();
const tokenizer = toyTokenizer();

test("scores are those of the completions, over all and by difficulty", async () => {
  const llm = new LLM(await toyModel("float32"));
  const seen: number[] = [];
  const result = await evaluate(llm, tokenizer, task, task.test, OPTIONS, {
    ...HOST,
    onProgress: (done, total) => seen.push(done / total),
  });
  expect(seen).toEqual(Array.from({ length: 15 }, (_, i) => (i + 1) / 15));
  expect(result).toMatchObject({ num_problems: 5, num_samples: 3 });
  expect(Object.entries(result.by_difficulty).map(([name, { num_problems }]) => [name, num_problems])).toEqual([
    ["0", 2],
    ["1", 2],
    ["2", 1],
  ]);
  for (const [difficulty, scores] of [...Object.entries(result.by_difficulty), [null, result] as const]) {
    const rows = result.completions.filter((row) => difficulty === null || String(row.difficulty) === difficulty);
    const mean = (value: (row: (typeof rows)[number]) => number) =>
      rows.reduce((sum, row) => sum + value(row), 0) / rows.length;
    expect(scores.accuracy).toBeCloseTo(
      mean(({ correct }) => Number(correct)),
      12,
    );
    expect(scores.mean_length).toBeCloseTo(
      mean(({ length }) => length),
      12,
    );
    expect(scores.clipped_ratio).toBeCloseTo(
      mean(({ finish_reason }) => Number(finish_reason === "length")),
      12,
    );
  }
  for (const { completion, length, finish_reason, correct, reason, answer } of result.completions) {
    expect(completion.split(" ").filter((word) => word !== "")).toHaveLength(
      finish_reason === "stop" ? length - 1 : length,
    );
    expect(finish_reason === "stop" || length === 8).toBe(true);
    expect(correct).toBe(finish_reason === "stop" && completion.split(" ").includes(answer));
    expect(reason === "cut off").toBe(finish_reason === "length");
  }
  llm.dispose();
});

test("a problem's responses depend on neither the others nor on what runs beside them", async () => {
  const model = await toyModel("float32");
  const run = async (count: number, maxNumSeqs: number) => {
    const llm = new LLM(model, { maxNumSeqs });
    const { completions } = await evaluate(llm, tokenizer, task, task.test.slice(0, count), OPTIONS, HOST);
    llm.dispose();
    return completions;
  };
  const all = await run(5, 256);
  expect(await run(5, 2)).toEqual(all);
  expect(await run(2, 256)).toEqual(all.slice(0, 6));
});

test("a model that has learnt the task gets every problem right", async () => {
  const model = await toyModel("float32");
  const optimizer = await AdamW.create(model, ADAMW);
  const sft = {
    maxSteps: 100,
    tokensPerBatch: 120,
    tokensPerMicroBatch: 1000,
    learningRate: 0.01,
    scheduler: "cosine",
    warmupSteps: 2,
    recompute: false,
  } as const;
  await Array.fromAsync(trainSft(model, optimizer, demonstrations(task, tokenizer, 0, 3), sft));
  const llm = new LLM(model);
  const result = await evaluate(llm, tokenizer, task, task.test, { ...OPTIONS, temperature: 0, numSamples: 1 }, HOST);
  expect(result).toMatchObject({ accuracy: 1, pass_at_k: { "1": 1 }, majority: 1, mean_length: 3, clipped_ratio: 0 });
  llm.dispose();
});
