import { appendFileSync, existsSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { beforeEach, describe, expect, test } from "vitest";
import { ConfigError, FormatError } from "../../src/errors.ts";
import { parseConfig } from "../../src/run/config.ts";
import { RunFolder, type RunKind } from "../../src/run/run-folder.ts";
import { nodeFiles } from "../../src/runtime/files-node.ts";
import { temporaryFolder } from "../hf/temporary.ts";

const root = temporaryFolder();
let runs = 0;
let dir: string;
beforeEach(() => {
  dir = `${root}/run-${runs++}`;
});

const config = (json: Record<string, object> = {}) =>
  parseConfig({ ...json, train: { output_dir: dir, ...json["train"] } });
const read = (name: string) => readFileSync(`${dir}/${name}`, "utf8");

/** A response as models write them: a row may break off behind any of these braces and look as if it had ended. */
const completion = "\\boxed{15} und {\\frac{1}{2}} ü→{}";

const begin = (settings = config(), files = nodeFiles, kind: RunKind = "train", notes: string[] = []) =>
  RunFolder.open(files, settings, kind, (line) => void notes.push(line));

/** A folder with `steps` steps of two responses each, as a run leaves it. */
async function runOf(steps: number): Promise<RunFolder> {
  const folder = await begin();
  for (let step = 1; step <= steps; step++) {
    await folder.log(step, { loss: 1 / step, accuracy: step / 10 });
    await folder.logCompletions(step, [
      { problem_id: "a", completion },
      { problem_id: "b", completion },
    ]);
  }
  return folder;
}

const steps = async (rows: Promise<Record<string, unknown>[]>) => (await rows).map((row) => row["step"]);

describe("a process that is killed", () => {
  test.each(["metrics.jsonl", "completions.jsonl"])(
    "anywhere in a line of %s leaves the lines before it",
    async (name) => {
      const folder = await runOf(3);
      const whole = readFileSync(`${dir}/${name}`);
      const lastLine = whole.subarray(0, -1).lastIndexOf(10) + 1;
      for (let size = whole.length; size >= lastLine; size--) {
        writeFileSync(`${dir}/${name}`, whole.subarray(0, size));
        const rows =
          name === "metrics.jsonl" ? await folder.readMetrics() : await Array.fromAsync(folder.readCompletions());
        const before = name === "metrics.jsonl" ? [1, 2] : [1, 1, 2, 2, 3];
        expect(rows.map((row) => row["step"])).toEqual(size === whole.length ? [...before, 3] : before);

        await folder.cutBack(2);
        await folder.log(3, { loss: 0.25 });
        await folder.logCompletions(3, [{ problem_id: "c" }]);
        expect(await steps(folder.readMetrics())).toEqual([1, 2, 3]);
        expect(await steps(Array.fromAsync(folder.readCompletions()))).toEqual([1, 1, 2, 2, 3]);
      }
    },
  );

  test("while it writes a file leaves the old one, which the next run reads", async () => {
    await runOf(1);
    const before = read("config.json");
    const dying = {
      ...nodeFiles,
      write: async (path: string) => {
        await nodeFiles.write(path, '{"model": {');
        throw new Error("killed");
      },
    };
    await expect(begin(config(), dying)).rejects.toThrow("killed");
    expect(read("config.json")).toBe(before);
    await begin();
    expect(readdirSync(dir)).toEqual(["completions.jsonl", "config.json", "metrics.jsonl"]);
  });

  test("before its first step leaves a folder that a run begins in", async () => {
    const folder = await runOf(0);
    await folder.cutBack(0);
    await folder.writeEvents();
    expect([await folder.readMetrics(), await Array.fromAsync(folder.readCompletions())]).toEqual([[], []]);
    expect(readdirSync(dir)).toEqual(["config.json"]);
  });
});

test("a resumed run's files read as if it had never stopped, whatever it had logged after its checkpoint", async () => {
  const folder = await runOf(5);
  const lines = (name: string) => read(name).split("\n");
  const [metrics, completions] = [lines("metrics.jsonl"), lines("completions.jsonl")];
  await folder.cutBack(3);
  expect(lines("metrics.jsonl")).toEqual([...metrics.slice(0, 3), ""]);
  expect(lines("completions.jsonl")).toEqual([...completions.slice(0, 6), ""]);
  await folder.cutBack(0);
  expect([read("metrics.jsonl"), read("completions.jsonl")]).toEqual(["", ""]);
});

test("who sampled is added up over the steps, up to the checkpoint that a run goes on from", async () => {
  const folder = await runOf(2);
  expect(await folder.readSamplers()).toEqual([]);
  const share = (worker: string, adapter: string | null, tokens: number) => ({ worker, adapter, responses: 1, tokens });
  await folder.logSamplers(1, [share("a", "GPU", 10), share("b", null, 20)]);
  await folder.logSamplers(2, [share("b", "other GPU", 5), share("a", null, 40)]);
  await folder.logSamplers(3, [share("a", "GPU", 1000)]);
  appendFileSync(`${dir}/samplers.jsonl`, '{"step":3,"wor');
  await folder.cutBack(2);
  expect(await folder.readSamplers()).toEqual([
    { worker: "a", adapter: "GPU", responses: 2, tokens: 50 },
    { worker: "b", adapter: "other GPU", responses: 2, tokens: 25 },
  ]);
  await folder.cutBack(1);
  expect(await folder.readSamplers()).toEqual([share("b", null, 20), share("a", "GPU", 10)]);
});

test("responses beyond what is read at a time are cut at a line's end too", async () => {
  const folder = await runOf(1);
  const row = (step: number, size: number) => `${JSON.stringify({ step, completion: "ü{}".repeat(size / 4) })}\n`;
  const kept = read("completions.jsonl") + row(1, 2 ** 24) + row(1, 100) + row(1, 2 ** 25);
  writeFileSync(`${dir}/completions.jsonl`, kept + row(2, 2 ** 24) + row(3, 100).slice(0, 50));
  expect(await steps(Array.fromAsync(folder.readCompletions()))).toEqual([1, 1, 1, 1, 1, 2]);
  await folder.cutBack(1);
  expect(statSync(`${dir}/completions.jsonl`).size).toBe(Buffer.byteLength(kept));
});

describe("what does not fit together is refused", () => {
  test("metrics of fewer steps than the checkpoint are counted, and cost nothing else", async () => {
    const folder = await runOf(4);
    const before = read("metrics.jsonl");
    expect(await folder.cutBack(5)).toBe(1);
    expect(read("metrics.jsonl")).toBe(before);
    const lines = before.split("\n");
    writeFileSync(`${dir}/metrics.jsonl`, lines.toSpliced(1, 1).join("\n"));
    expect(await folder.cutBack(3)).toBe(1);
    expect(read("metrics.jsonl")).toBe([lines[0], lines[2], ""].join("\n"));
    truncateSync(`${dir}/metrics.jsonl`, 0);
    expect(await folder.cutBack(1)).toBe(1);
  });

  test("a line in the middle that is none", async () => {
    const folder = await runOf(1);
    appendFileSync(`${dir}/metrics.jsonl`, '{"step": 2, "lo\n{"step":3}\n');
    await expect(folder.readMetrics()).rejects.toThrow(FormatError);
    await expect(folder.cutBack(3)).rejects.toThrow(/metrics\.jsonl: expected JSON lines/);
  });

  test.each(["", '{"model": {', "null", "[]", '{"train": {}}'])("config.json with %j", async (text) => {
    await runOf(1);
    writeFileSync(`${dir}/config.json`, text);
    const opening = begin();
    await expect(opening).rejects.toThrow(FormatError);
    await expect(opening).rejects.toThrow(/config\.json: expected the configuration that the run began with, got "/);
    expect(read("config.json")).toBe(text);
  });

  test.each([
    ["a number", { rl: { alpha: 0.4 } }, /another rl\.alpha \(0\.2, not 0\.4\)/],
    ["a choice", { model: { dtype: "float32" } }, /another model\.dtype \("bfloat16", not "float32"\)/],
    ["what was unset", { rl: { target_length: 50 } }, /another rl\.target_length \(undefined, not 50\)/],
    ["the seed", { train: { seed: 7 } }, /another train\.seed \(\d+, not 7\)/],
  ])("another configuration: %s", async (_, change: Record<string, object>, message) => {
    const begun = { rl: { alpha: 0.2 }, model: { dtype: "bfloat16" } };
    await begin(config(begun));
    const before = read("config.json");
    const merged = Object.fromEntries(
      Object.entries({ ...begun, ...change }).map(([key, section]) => [key, { ...begun[key as "rl"], ...section }]),
    );
    const opening = begin(config(merged));
    await expect(opening).rejects.toThrow(ConfigError);
    await expect(opening).rejects.toThrow(message);
    expect(read("config.json")).toBe(before);
  });

  test("another evaluation, where it chooses the best checkpoint", async () => {
    const evaluated = (num_samples: number) => config({ train: { eval_every: 2 }, eval: { num_samples } });
    await begin(evaluated(1));
    await expect(begin(evaluated(4))).rejects.toThrow(/another eval\.num_samples \(1, not 4\)/);
  });

  test("but not how far a run goes, how often it saves, where it lies and runs and how its end is evaluated", async () => {
    await begin();
    const changed = config({
      train: { save_every: 3, save_total_limit: 2, output_dir: `${dir}/` },
      rl: { max_iterations: 7, max_sampled_tokens: 1000 },
      device: { adapter: "x" },
      eval: { num_problems: 3 },
    });
    const notes: string[] = [];
    await begin(changed, nodeFiles, "train", notes);
    expect(JSON.parse(read("config.json"))).toEqual(JSON.parse(JSON.stringify({ command: "train", ...changed })));
    expect(existsSync(`${dir}/.unfinished_config.json`)).toBe(false);
    expect(notes).toEqual([]);
  });

  test("a run of another command", async () => {
    await begin();
    await expect(begin(config(), nodeFiles, "sft")).rejects.toThrow(
      /holds a run of pith train, not of pith sft; choose/,
    );
  });

  test("a learning rate may change, and what moves it is said", async () => {
    const cosine = (optim: object, rl: object = {}) => config({ optim: { lr_scheduler_type: "cosine", ...optim }, rl });
    await begin(cosine({ learning_rate: 0.5 }));
    const notes: string[] = [];
    await begin(cosine({ learning_rate: 1e-6 }, { max_iterations: 200 }), nodeFiles, "train", notes);
    expect(notes).toEqual([
      expect.stringMatching(/another optim\.learning_rate \(0\.5, not 0\.000001\): the learning rate follows the new/),
      expect.stringMatching(/another rl\.max_iterations \(100, not 200\): the learning rate follows the new/),
    ]);
  });

  test("a folder that began before a key existed has its default", async () => {
    await begin();
    const { command: _, ...older } = JSON.parse(read("config.json")) as Record<string, Record<string, unknown>>;
    delete older["rl"]!["kl_estimator"];
    writeFileSync(`${dir}/config.json`, JSON.stringify(older));
    await begin();
    await expect(begin(config({ rl: { kl_estimator: "k3" } }))).rejects.toThrow(
      /rl\.kl_estimator \("none", not "k3"\)/,
    );
  });
});

test("rows that a process adds are taken up whole; what a kill left of another is cut off before more are added", async () => {
  const folder = await runOf(0);
  expect(await folder.takeRows("parts.jsonl")).toEqual([]);
  await folder.append("parts.jsonl", [{ part: 1 }, { part: 2 }]);
  appendFileSync(`${dir}/parts.jsonl`, '{"part": 3, "text": "ü');
  expect(await folder.takeRows("parts.jsonl")).toEqual([{ part: 1 }, { part: 2 }]);
  await folder.append("parts.jsonl", [{ part: 3 }]);
  expect(await folder.takeRows("parts.jsonl")).toEqual([{ part: 1 }, { part: 2 }, { part: 3 }]);
});
