import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "pith-grade-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function gradeFile(grader: string, input: string): Promise<{ code: number; stdout: string; stderr: string }> {
  writeFileSync(join(folder, "in.jsonl"), input);
  const paths = ["--input", join(folder, "in.jsonl"), "--output", join(folder, "out.jsonl")];
  const argv = ["--import", "./scripts/wgsl-hook.js", "src/cli/main.ts", "grade", "--grader", grader, ...paths];
  return new Promise((resolve) => {
    execFile(process.execPath, argv, { cwd: root, encoding: "utf8" }, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr: stderr.trim() }),
    );
  });
}

test("pith grade judges pairs and responses, in order, and sums up", async () => {
  const lines = [
    { pred: "[0,1)", ref: "(0,1]", id: 7 },
    { response: "so it is \\boxed{5\\text{ cm}}", gold: "thus \\boxed{5}" },
    { response: "(C) it is", gold: "C", dataset: "aqua" },
    { response: "I cannot say", gold: "3" },
  ];
  const { code, stdout } = await gradeFile(
    "qwen2.5-math",
    `${lines.map((line) => JSON.stringify(line)).join("\n\n")}\n`,
  );
  expect(code).toBe(0);
  expect(stdout).toContain("3 of 4 correct (75.0%), by qwen2.5-math");
  const judged = readFileSync(join(folder, "out.jsonl"), "utf8").trim().split("\n");
  expect(judged.map((line) => JSON.parse(line) as unknown)).toMatchObject([
    { id: 7, verdict: true, extracted: "[0,1)", reason: "equal parts" },
    { verdict: true, extracted: "5", reason: "equal text" },
    { verdict: true, extracted: "C", reason: "equal text" },
    { verdict: false, extracted: "", reason: "no answer found" },
  ]);
});

test("pith grade names the line that it cannot use, and leaves no output", async () => {
  rmSync(join(folder, "out.jsonl"), { force: true });
  const { code, stderr } = await gradeFile("strict", '{"pred":"1","ref":"1"}\n{"pred":1}\n');
  expect(code).toBe(1);
  expect(stderr.split("\n")).toHaveLength(1);
  expect(stderr).toMatch(/in\.jsonl, line 2: expected an object with texts pred and ref, or response and gold/);
  expect(existsSync(join(folder, "out.jsonl"))).toBe(false);
  expect(readdirSync(folder)).toEqual(["in.jsonl"]);
});
