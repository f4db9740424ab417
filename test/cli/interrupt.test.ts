import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { runScript, type Ended } from "../helpers/process.ts";
import { temporaryFolder } from "../hf/temporary.ts";

const folder = temporaryFolder();

/** Runs a command; sends it `signal` when what it prints first matches `at`. */
const pith = (args: string[], at?: RegExp, signal?: NodeJS.Signals) => runScript("src/cli/main.ts", args, at, signal);

/** `npm start`'s run, made small. */
const SETTINGS = {
  "rl.num_prompts": 2,
  "rl.num_generations": 4,
  "rl.max_completion_length": 64,
  "engine.max_num_seqs": 8,
  "eval.num_problems": 40,
  "eval.num_samples": 2,
  "train.save_every": 1,
};
const args = (command: string, dir: string, iterations: number) => {
  const settings = { ...SETTINGS, "rl.max_iterations": iterations, "train.output_dir": `${folder}/${dir}` };
  return [
    command,
    "configs/start.toml",
    ...Object.entries(settings).flatMap(([key, value]) => [`--${key}`, `${value}`]),
  ];
};

/** It ended by itself, said so in a line, and has no stack trace. */
function expectInterrupted({ code, stderr }: Ended): void {
  expect(code).toBe(130);
  expect(stderr).toMatch(/^interrupted: stopping where the run can go on from/m);
  expect(stderr.trimEnd().split("\n").at(-1)).toMatch(/interrupted.*the same command goes on/);
  expect(stderr).not.toMatch(/^\s+at /m);
}

const weights = (dir: string, step: number) =>
  readFileSync(`${folder}/${dir}/checkpoints/step_00000${step}/model.safetensors`);
const rows = (dir: string) => readFileSync(`${folder}/${dir}/metrics.jsonl`, "utf8").trimEnd().split("\n").length;
const evaluation = (dir: string) => readFileSync(`${folder}/${dir}/evaluation.json`, "utf8");

describe("the first Ctrl-C", () => {
  test("in either evaluation of start: the same command goes on, to what an undisturbed run ends with", async () => {
    expect((await pith(args("start", "whole", 1))).code).toBe(0);

    expectInterrupted(await pith(args("start", "cut", 1), /eval before \d+/));
    expectInterrupted(await pith(args("start", "cut", 1), /eval after \d+/));
    expect(readdirSync(`${folder}/cut/checkpoints`)).toEqual(["step_000001"]);
    expect(readdirSync(`${folder}/cut`)).not.toContain("evaluation.json");

    const { code, stdout, stderr } = await pith(args("start", "cut", 1));
    expect(code).toBe(0);
    expect(stderr).toContain("goes on after iteration 1");
    expect(stdout).toContain("report.html");
    expect(rows("cut")).toBe(1);
    expect(evaluation("cut")).toBe(evaluation("whole"));
    expect(weights("cut", 1).equals(weights("whole", 1))).toBe(true);
  });

  test("in eval", async () => {
    expectInterrupted(await pith(args("eval", "none", 1), /eval arithmetic \d+/));
  });
});

describe("train goes on as if nothing had happened", () => {
  test.each([
    ["Ctrl-C", "SIGINT"],
    ["a request to end", "SIGTERM"],
  ] as const)("after %s", async (_, signal) => {
    if (signal === "SIGINT") expect((await pith(args("train", "all", 3))).code).toBe(0);
    const ended = await pith(args("train", signal, 3), /iteration 2\/3/, signal);
    expectInterrupted(ended);
    const { code, stderr } = await pith(args("train", signal, 3));
    expect(code).toBe(0);
    expect(stderr).toMatch(/goes on after iteration [12]/);
    expect(rows(signal)).toBe(3);
    expect(weights(signal, 3).equals(weights("all", 3))).toBe(true);
  });
});
