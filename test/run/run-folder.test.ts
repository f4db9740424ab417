import { appendFileSync, existsSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { beforeEach, describe, expect, test } from "vitest";
import { ConfigError, FormatError } from "../../src/errors.ts";
import { parseConfig } from "../../src/run/config.ts";
import { RunFolder } from "../../src/run/run-folder.ts";
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

/** A folder with `steps` steps of two responses each, as a run leaves it. */
async function runOf(steps: number): Promise<RunFolder> {
  const folder = await RunFolder.open(nodeFiles, config());
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
    await expect(RunFolder.open(dying, config())).rejects.toThrow("killed");
    expect(read("config.json")).toBe(before);
    await RunFolder.open(nodeFiles, config());
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
  test("metrics of fewer steps than the checkpoint, which a run would take for where it stands", async () => {
    const folder = await runOf(4);
    await expect(folder.cutBack(5)).rejects.toThrow(
      /metrics\.jsonl: expected a row for each of the 5 steps of the newest checkpoint, got 4; remove/,
    );
    truncateSync(`${dir}/metrics.jsonl`, 0);
    await expect(folder.cutBack(1)).rejects.toThrow(FormatError);
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
    const opening = RunFolder.open(nodeFiles, config());
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
    await RunFolder.open(nodeFiles, config(begun));
    const before = read("config.json");
    const merged = Object.fromEntries(
      Object.entries({ ...begun, ...change }).map(([key, section]) => [key, { ...begun[key as "rl"], ...section }]),
    );
    const opening = RunFolder.open(nodeFiles, config(merged));
    await expect(opening).rejects.toThrow(ConfigError);
    await expect(opening).rejects.toThrow(message);
    expect(read("config.json")).toBe(before);
  });

  test("but not how far a run goes, how often it saves, where it runs and how it is evaluated", async () => {
    await RunFolder.open(nodeFiles, config());
    const changed = config({
      train: { save_every: 3 },
      rl: { max_iterations: 7 },
      device: { adapter: "x" },
      eval: { num_problems: 3 },
    });
    await RunFolder.open(nodeFiles, changed);
    expect(JSON.parse(read("config.json"))).toEqual(JSON.parse(JSON.stringify(changed)));
    expect(existsSync(`${dir}/.unfinished_config.json`)).toBe(false);
  });
});
