import { readdirSync, readFileSync } from "node:fs";
import { parquetRowsInThread } from "../../src/runtime/parquet-thread.ts";
import { mathTask } from "../../src/tasks/math.ts";
import { fuzz, memoryFiles } from "../helpers/fuzz.ts";

const folder = new URL("../fixtures/parquet/", import.meta.url);
const parquets = readdirSync(folder).map((name) => new Uint8Array(readFileSync(new URL(name, folder))));

/** A thread is started for each. */
const FEW_FILES = 40;

fuzz(
  "parquet",
  async (random) => {
    const whole = random.pick(parquets);
    const file = random.below(3) === 0 ? random.mutate(whole) : Uint8Array.from(whole);
    for (let edits = 1 + random.below(4); edits > 0; edits--) file[random.below(file.length)] = random.below(256);
    await mathTask(
      { path: "d.parquet", options: {} },
      {
        files: memoryFiles({ "d.parquet": file }),
        readParquet: (bytes, path) => parquetRowsInThread(bytes, path, 0.4),
      },
    );
  },
  { few: FEW_FILES },
);

const ROWS: unknown[] = [
  { problem: "1+1?", answer: "2", level: 3, unique_id: "a" },
  { question: "How many?", answer: "So #### 1,234" },
  {
    prompt: [{ role: "user", content: "What is 3/4 of 8?" }],
    answer: ["6", "six"],
    reward_model: { ground_truth: "6" },
  },
  { problem: "x", solution: "Thus \\boxed{\\frac{1}{2}}.", source: "y" },
];

fuzz("jsonl", async (random) => {
  const rows = Array.from({ length: 1 + random.below(4) }, () =>
    random.below(3) === 0 ? random.pick(ROWS) : random.mutateJson(random.pick(ROWS)),
  );
  const name = random.pick(["d.jsonl", "d.json"]);
  const text = name === "d.json" ? JSON.stringify(rows) : rows.map((row) => JSON.stringify(row)).join("\n");
  const content = random.below(3) === 0 ? random.mutate(new TextEncoder().encode(text)) : text;
  const task = await mathTask({ path: name, options: {} }, { files: memoryFiles({ [name]: content }) });
  for (const problem of task.train) task.judge(problem, `It is \\boxed{${problem.answer}}`);
});
