import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { temporaryFolder } from "../hf/temporary.ts";
import { parquet } from "../tasks/parquet.ts";

const root = new URL("../..", import.meta.url).pathname;
const dir = temporaryFolder();

function prepare(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const argv = ["--import", "./scripts/wgsl-hook.js", "src/cli/main.ts", "data", "prepare", ...args];
  return new Promise((resolve) => {
    execFile(process.execPath, argv, { cwd: root, encoding: "utf8" }, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr: stderr.trim() }),
    );
  });
}

const lines = (name: string, rows: object[]): string => {
  writeFileSync(`${dir}/${name}`, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  return `${dir}/${name}`;
};

describe("pith data prepare", () => {
  const rows = Array.from({ length: 20 }, (_, i) => ({ problem: `What is ${i} + ${i}?`, answer: `${2 * i}` }));
  const input = lines("input.jsonl", [...rows, { problem: "pi?", answer: "\\pi" }]);
  writeFileSync(`${dir}/more.parquet`, parquet({ problem: ["What is 50+50?"], answer: ["100"], level: [2] }));
  const exams = [lines("a.jsonl", [rows[3]!]), lines("b.jsonl", [rows[4]!])];

  test("jsonl and parquet to a training file and its report, the same each time; every set after --eval is held out", async () => {
    const output = `${dir}/new/folder/train.jsonl`;
    const args = [input, `${dir}/more.parquet`, "--eval", ...exams, "--take", "10", "--seed", "5", "--output", output];
    const { code, stdout, stderr } = await prepare(...args);
    expect([code, stderr]).toEqual([0, ""]);
    const text = readFileSync(output, "utf8");
    expect(text.trim().split("\n").length).toBe(10);
    const report = JSON.parse(readFileSync(`${dir}/new/folder/train.report.json`, "utf8")) as Record<string, unknown>;
    expect(report).toMatchObject({
      seed: 5,
      rows: 10,
      evaluation: [{ rows: 1 }, { rows: 1 }],
      left_out: { "not drawn": 9, "in an evaluation set": 2, "answer is not a number": 1 },
    });
    expect(report["dropped"]).toContainEqual({
      id: "input.jsonl: 4",
      reason: "in an evaluation set",
      of: "b.jsonl: 0",
    });
    expect(stdout).toMatch(/in an evaluation set +2\n/);
    expect(readdirSync(`${dir}/new/folder`).sort()).toEqual(["train.jsonl", "train.report.json"]);

    expect((await prepare(...args)).code).toBe(0);
    expect(readFileSync(output, "utf8")).toBe(text);
  });

  test("however the held-out sets are spelled, all of them are", async () => {
    const output = `${dir}/spelled.jsonl`;
    for (const spelled of [
      ["--eval", exams[0]!, "--eval", exams[1]!],
      [`--eval=${exams[0]!}`, `--eval=${exams[1]!}`],
    ]) {
      const { code, stdout } = await prepare(input, ...spelled, "--output", output);
      expect([code, stdout]).toEqual([0, expect.stringMatching(/in an evaluation set +2\n/)]);
    }
  });

  test.each<[string, () => string[], number, RegExp]>([
    [
      "a flag without its names",
      () => [input, "--output", `${dir}/x.jsonl`, "--eval"],
      2,
      /--eval SETS: its value is missing/,
    ],
    [
      "a source that is not there",
      () => [input, "--output", `${dir}/x.jsonl`, "--source", "aops"],
      2,
      /--source: expected some of input.jsonl, got aops/,
    ],
    ["no data", () => ["--output", `${dir}/x.jsonl`], 2, /expected data sets/],
    ["no output", () => [input], 2, /--output: expected a .jsonl file, got none/],
    ["a file that is not there", () => ["absent.jsonl", "--output", `${dir}/x.jsonl`], 1, /absent.jsonl: no such file/],
    ["half a row", () => [input, "--output", `${dir}/x.jsonl`, "--take", "0.5"], 2, /--take: expected a whole number/],
    [
      "nothing left",
      () => [lines("pi.jsonl", [{ problem: "pi?", answer: "\\pi" }]), "--output", `${dir}/x.jsonl`],
      1,
      /no row is left to train on: 1 answer is not a number/,
    ],
  ])("%s is one line on standard error, and no file", async (_, args, code, message) => {
    const result = await prepare(...args());
    expect(result.code).toBe(code);
    expect(result.stderr.split("\n").at(-1)).toMatch(message);
    expect(existsSync(`${dir}/x.jsonl`)).toBe(false);
  });

  test("an output that cannot be written leaves what was there", async () => {
    const output = `${dir}/kept.jsonl`;
    writeFileSync(output, "before\n");
    mkdirSync(`${output}.part`);
    const { code, stderr } = await prepare(input, "--output", output);
    expect(code).toBe(1);
    expect(stderr).toMatch(/cannot write .*kept\.jsonl\.part: is a folder/);
    expect(readFileSync(output, "utf8")).toBe("before\n");
  });
});
