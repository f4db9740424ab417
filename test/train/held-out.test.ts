import { cpSync, readdirSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { Scored } from "../../src/core/best.ts";
import { Model } from "../../src/model/model.ts";
import { parseConfig } from "../../src/run/config.ts";
import { RunFolder } from "../../src/run/run-folder.ts";
import { nodeFiles } from "../../src/runtime/files-node.ts";
import { checkpointPath } from "../../src/train/checkpoint.ts";
import { HeldOut, scoreHeldOut } from "../../src/train/held-out.ts";
import { keepSteps } from "../../src/train/keep.ts";
import { engineOptions, rlOptions } from "../../src/train/options.ts";
import { resume } from "../../src/train/resume.ts";
import { trainRl, type RlIteration } from "../../src/train/rl.ts";
import { Sampler } from "../../src/train/sampler.ts";
import { temporaryFolder } from "../helpers/host.ts";
import { testGpu } from "../helpers/gpu.ts";
import { toyModel, toySetup, toyTask, toyTokenizer } from "../helpers/toy.ts";

const folder = temporaryFolder();

describe("HeldOut", () => {
  const base = { accuracy: 0.9, mean_length: 100 };
  const scores: Scored[] = [
    [0.91, 90],
    [0.9, 70],
    [0.7, 40],
    [0.92, 71],
    [0.89, 69],
  ].map(([accuracy, mean_length]) => ({ accuracy: accuracy!, mean_length: mean_length! }));
  const train = { ...parseConfig({}).train, eval_every: 2, early_stopping_patience: 2 };

  test("evaluates every so many steps, knows the best, and ends when nothing better comes", async () => {
    const coming = [...scores];
    const heldOut = new HeldOut(train, { base, score: () => Promise.resolve(coming.shift()!), rows: [] });
    const said: unknown[] = [];
    for (let step = 1; step <= 8; step++) {
      const evaluation = await heldOut.after(step);
      said.push(evaluation && [evaluation.metrics["eval/mean_length"], evaluation.isBest, evaluation.ends]);
    }
    expect(said).toEqual([
      null,
      [90, true, false],
      null,
      [70, true, false],
      null,
      [40, false, false],
      null,
      [71, false, true],
    ]);
    expect(heldOut.best).toEqual({ step: 4, accuracy: 0.9, mean_length: 70 });
  });

  test("a run that goes on from its log decides as one that was never interrupted", async () => {
    for (let done = 0; done <= scores.length; done++) {
      const rows = scores.slice(0, done).map(({ accuracy, mean_length }, i) => {
        return JSON.parse(
          JSON.stringify({ step: 2 * i + 2, "eval/accuracy": accuracy, "eval/mean_length": mean_length }),
        ) as Record<string, unknown>;
      });
      const left = scores.slice(done);
      const heldOut = new HeldOut(train, { base, score: () => Promise.resolve(left.shift()!), rows });
      expect(heldOut.ends).toBe(done === 4);
      for (let i = done; i < scores.length; i++) await heldOut.after(2 * i + 2);
      expect(heldOut.best).toEqual({ step: 10, accuracy: 0.89, mean_length: 69 });
    }
  });
});

test("a run keeps its best checkpoint beside the newest ones, and its weights score what was logged", async () => {
  const gpu = await testGpu();
  const modelDir = `${folder}/model`;
  const initial = await toyModel("float32");
  await initial.save(nodeFiles, modelDir);
  initial.dispose();
  const config = parseConfig({
    model: { dtype: "float32" },
    rl: { num_prompts: 4, num_generations: 6, max_iterations: 5, max_completion_length: 10, alpha: 0.2 },
    optim: { learning_rate: 5e-3, warmup_steps: 0 },
    train: {
      output_dir: `${folder}/run`,
      save_every: 1,
      save_total_limit: 1,
      eval_every: 1,
      eval_problems: 4,
      best: "fewest tokens",
      seed: 1,
    },
    eval: { num_samples: 3, temperature: 1, max_completion_length: 10 },
  });
  const run = await RunFolder.open(nodeFiles, config, "train", () => {});
  const task = toyTask();
  const sources = { modelDir, tokenizer: toyTokenizer(), stopTokenIds: [0], task, overlong: [], adapterDir: null };
  const setup = await toySetup("float32");
  const progress = await resume(gpu, nodeFiles, run, modelDir, () => {});
  const { signal } = new AbortController();
  const scoreOf = (model: Model) => scoreHeldOut(new Sampler(model, engineOptions(config)), sources, config, signal);
  const score = () => scoreOf(progress.model);
  const heldOut = new HeldOut(config.train, { base: await score(), score, rows: [] });
  const { model, optimizer } = progress;
  const iterations = trainRl({ ...setup, model, optimizer }, rlOptions(config));
  const record = ({ metrics: { iteration, ...metrics }, isLast }: RlIteration) => ({
    step: iteration,
    metrics,
    isLast,
  });
  const options = { signal, heldOut };
  for await (const _ of keepSteps(iterations, record, progress, run, options));

  const rows = await run.readMetrics();
  const tokens = rows.map((row) => Number(row["eval/mean_length"]));
  const best = 1 + tokens.indexOf(Math.min(...tokens));
  expect(heldOut.best?.step).toBe(best);
  const kept = [...new Set([best, 5])].map((step) => checkpointPath(run.checkpoints, step));
  const names = () => readdirSync(run.checkpoints).map((name) => `${run.checkpoints}/${name}`);
  expect(names()).toEqual(kept);

  // As a process leaves it that is killed between its last checkpoint and the pruning, or in it: opened again, the run has its own alone.
  const older = checkpointPath(run.checkpoints, best === 1 ? 2 : 1);
  for (const stray of [older, `${run.checkpoints}/.unfinished_step_000003`])
    cpSync(kept.at(-1)!, stray, { recursive: true });
  expect(names()).toHaveLength(kept.length + 2);
  for await (const _ of keepSteps(
    (async function* (): AsyncGenerator<RlIteration> {})(),
    record,
    progress,
    run,
    options,
  ));
  expect(names()).toEqual(kept);
  const loaded = await Model.load(gpu, nodeFiles, kept[0]!, { dtype: "float32" });
  expect(await scoreOf(loaded)).toEqual({
    accuracy: rows[best - 1]!["eval/accuracy"],
    mean_length: rows[best - 1]!["eval/mean_length"],
  });
  expect(Math.min(...tokens)).toBeLessThan(heldOut.base.mean_length);
});
