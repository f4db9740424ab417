import { existsSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { temporaryFolder } from "../hf/temporary.ts";
import { runScript } from "../helpers/process.ts";

const folder = temporaryFolder();
const RUNS = ["hapo-0.16", "sft-8", "sigmoid-group-0.4"];

const arena = (dir: string, at?: RegExp, signal?: NodeJS.Signals) =>
  runScript("test/cli/arena-entry.ts", [`${folder}/${dir}`], at, signal);

/** What is in a file of the folder, but for what was timed. */
const results = (path: string): unknown =>
  JSON.parse(readFileSync(`${folder}/${path}`, "utf8"), (key, value: unknown) =>
    key === "seconds" || key === "facts" ? undefined : value,
  );

test("an interrupted arena goes on to what one ends with that nothing disturbed", async () => {
  const whole = await arena("whole");
  expect(whole.code, whole.stderr).toBe(0);
  expect(whole.stdout).toContain("arena.html");

  const stopped = await arena("cut", /iteration 1,/);
  expect(stopped.code).toBe(130);
  expect(existsSync(`${folder}/cut/seed-1/${RUNS[0]}/outcome.json`)).toBe(false);
  await arena("cut", /sampled \d+\/\d+ prompts/, "SIGKILL");
  expect(existsSync(`${folder}/cut/seed-1/${RUNS[0]}/outcome.json`)).toBe(true);
  const last = await arena("cut");
  expect(last.code, last.stderr).toBe(0);

  for (const run of RUNS) {
    const outcome = `seed-1/${run}/outcome.json`;
    expect(results(`cut/${outcome}`)).toEqual(results(`whole/${outcome}`));
    const { num_sampled_tokens: sampled, seconds } = JSON.parse(readFileSync(`${folder}/cut/${outcome}`, "utf8")) as {
      num_sampled_tokens: number;
      seconds: number;
    };
    expect(sampled).toBeGreaterThan(100);
    expect(seconds).toBeGreaterThan(0);
  }
  expect(results("cut/arena.json")).toEqual(results("whole/arena.json"));
  expect(readFileSync(`${folder}/cut/arena.html`, "utf8")).toContain("Does alpha order the lengths?");
});
