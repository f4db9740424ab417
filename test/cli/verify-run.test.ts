import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import type { RolloutRecord } from "../../src/train/rollouts.ts";
import { temporaryFolder } from "../helpers/host.ts";

const dir = temporaryFolder();
const root = fileURLToPath(new URL("../..", import.meta.url));

const pith = (...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> =>
  new Promise((resolve) => {
    const argv = ["--import", "./scripts/wgsl-hook.js", "src/cli/main.ts", ...args];
    execFile(process.execPath, argv, { cwd: root, encoding: "utf8" }, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    );
  });

test("verify draws a run's responses again, and names the one that was edited", async () => {
  const run = `${dir}/run`;
  const rl = ["num_prompts=2", "num_generations=4", "max_iterations=2", "max_completion_length=60"];
  const settings = rl.map((setting) => `--rl.${setting}`);
  expect(await pith("train", ...settings, "--train.save_every=1", `--train.output_dir=${run}`)).toMatchObject({
    code: 0,
  });
  const honest = await pith("verify", run);
  expect(honest).toMatchObject({ code: 0 });
  expect(honest.stdout).toMatch(/iteration 1: 8 of 8 responses\niteration 2: 8 of 8 responses\n16 passed, 0 failed: /);

  const log = `${run}/completions.jsonl`;
  const lines = readFileSync(log, "utf8").trimEnd().split("\n");
  const rows = lines.map((line) => JSON.parse(line) as RolloutRecord);
  const [before, after] = [rows[9]!.token_ids[4]!, rows[9]!.token_ids[4]! ^ 1];
  rows[9] = { ...rows[9]!, token_ids: rows[9]!.token_ids.with(4, after) };
  writeFileSync(log, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  const edited = await pith("verify", run);
  expect(edited).toMatchObject({ code: 1 });
  expect(edited.stdout).toContain(
    `FAIL  iteration 2, problem ${rows[9].problem_id}, response 1, token 4: token ${after}, drawn ${before}`,
  );
  expect(edited.stdout).toMatch(/15 passed, 1 failed/);
});
