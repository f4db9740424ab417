import { appendFileSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parseConfig } from "../../src/run/config.ts";
import { RunFolder } from "../../src/run/run-folder.ts";
import { nodeFiles } from "../../src/runtime/files-node.ts";
import { withFirstPass } from "../../src/train/first-pass.ts";
import { leaveOutOverlong } from "../../src/train/overlong.ts";
import { rlOptions } from "../../src/train/options.ts";
import { trainRl } from "../../src/train/rl.ts";
import { testGpu } from "../helpers/gpu.ts";
import { temporaryFolder } from "../helpers/host.ts";
import { toyModel, toySetup, toyTask, toyTokenizer } from "../helpers/toy.ts";

const folder = temporaryFolder();

test("o1_pruner goes by what the initial model does with the problems that the run asks, measured once", async () => {
  const gpu = await testGpu();
  const modelDir = `${folder}/model`;
  const initial = await toyModel("float32");
  await initial.save(nodeFiles, modelDir);
  initial.dispose();
  const sources = {
    modelDir,
    tokenizer: toyTokenizer(),
    stopTokenIds: [0],
    // As the command line has it, which leaves out what does not fit: its methods are inherited.
    task: leaveOutOverlong(toyTask(), toyTokenizer(), 32).task,
    overlong: [],
    adapterDir: null,
  };
  const open = (dir: string, iterations: number, reward = "o1_pruner") => {
    const rl = { num_prompts: 2, num_generations: 6, max_completion_length: 8 };
    const config = parseConfig({
      model: { dtype: "float32" },
      rl: { ...rl, max_iterations: iterations, length_reward: reward },
      train: { output_dir: `${folder}/${dir}`, seed: 3 },
    });
    return RunFolder.open(nodeFiles, config, "train", () => {});
  };
  const said: string[] = [];
  const host = { signal: new AbortController().signal, note: (line: string) => said.push(line) };
  const run = await open("run", 2);
  const task = await withFirstPass(gpu, nodeFiles, sources, run, host);
  const known = task.train.filter(({ reference }) => reference);
  expect(known).toHaveLength(4);
  for (const { reference } of known) {
    const { meanLength, accuracy } = reference!.initial!;
    expect(meanLength * 6).toBeCloseTo(Math.round(meanLength * 6), 9);
    expect(accuracy * 6).toBeCloseTo(Math.round(accuracy * 6), 9);
    expect(meanLength).toBeGreaterThan(1);
  }
  expect(said).toEqual(["first pass with the initial model: 4/4 problems"]);

  // What a killed process left of a line is cut off; what is there is not sampled again; a longer run asks for the rest.
  const path = `${folder}/run/first_pass.jsonl`;
  const whole = readFileSync(path, "utf8");
  appendFileSync(path, '{"red');
  expect((await withFirstPass(gpu, nodeFiles, sources, await open("run", 2), host)).train).toEqual(task.train);
  expect(readFileSync(path, "utf8")).toBe(whole);
  expect(said).toHaveLength(1);
  const longer = await withFirstPass(gpu, nodeFiles, sources, await open("run", 3), host);
  const atOnce = await withFirstPass(gpu, nodeFiles, sources, await open("other", 3), host);
  expect(longer.train).toEqual(atOnce.train);
  expect(longer.train.every(({ reference }) => reference?.initial)).toBe(true);

  const iterations = trainRl({ ...(await toySetup("float32")), task }, rlOptions(run.config));
  for await (const { rollouts, metrics } of iterations) {
    expect(metrics.grad_norm).toBeGreaterThan(0);
    for (const { length, correct, reward, problem } of rollouts) {
      const { meanLength, accuracy } = problem.reference!.initial!;
      expect(reward).toBeCloseTo(meanLength / length - 1 + 2 * (Number(correct) - accuracy), 12);
    }
  }
  expect(await withFirstPass(gpu, nodeFiles, sources, await open("plain", 2, "sigmoid"), host)).toBe(sources.task);
});
