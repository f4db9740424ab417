/**
 * Records what the page shows before anyone trains: `node --import ./scripts/wgsl-hook.js scripts/record.ts` trains the bundled
 * reasoner as `npm start` does, once for each alpha, has it answer held-out problems along the way, and writes
 * web/recordings.json. Goes on where it was interrupted; runs/recordings holds the runs, to be removed for new ones.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { scoreAtCutoff } from "../src/core/cutoff.ts";
import { evaluateModel } from "../src/cli/eval.ts";
import { files, note, openGpu, openSources } from "../src/cli/host.ts";
import { openRun } from "../src/cli/open-run.ts";
import { shipped } from "../src/cli/shipped.ts";
import { runTraining } from "../src/cli/train.ts";
import type { DeviceGpu } from "../src/gpu/device-gpu.ts";
import { StreamDecoder } from "../src/hf/tokenizer.ts";
import { Model } from "../src/model/model.ts";
import { CUTOFFS } from "../src/reproduce/plan.ts";
import { loadConfig, type Config } from "../src/run/config.ts";
import type { RunFolder } from "../src/run/run-folder.ts";
import { checkpointSteps } from "../src/train/checkpoint.ts";
import type { Evaluation } from "../src/train/evaluate.ts";
import { engineOptions } from "../src/train/options.ts";
import { sampleRollouts, type RolloutRow } from "../src/train/rollouts.ts";
import { Sampler } from "../src/train/sampler.ts";
import type { Sources } from "../src/train/sources.ts";
import {
  encodeTokens,
  type RecordedAnswer,
  type RecordedRun,
  type RecordedScores,
  type Recordings,
} from "../web/recordings.ts";

const ALPHAS = [0, 0.05, 0.1, 0.2, 0.4];
/** Iterations between two recorded answers. */
const EVERY = 4;
const PROBLEMS = 20;
const FOLDER = "runs/recordings";
const START = shipped("configs/start.toml");
const MOST_BYTES = 300_000;

const gpu = await openGpu(undefined);
const config = await loadConfig(files, [START], {});
const sources = await openSources(config);
const vocabulary: string[] = [];

const base = await cached(`${FOLDER}/base.json`, async () => {
  const model = await Model.load(gpu, files, sources.modelDir, { dtype: config.model.dtype });
  const evaluation = await evaluateModel(model, sources, config, "base");
  const answers = await answer(model, sources, config);
  model.dispose();
  return { evaluation, answers };
});

const runs: RecordedRun[] = [];
for (const alpha of ALPHAS) runs.push(await record(gpu, alpha));

const saved = (i: number): number => {
  const [first, last] = [runs[0]!.answers[0]![i]!, runs.at(-1)!.answers.at(-1)![i]!];
  const right = runs.every(({ answers }) => answers.at(-1)![i]![1] === 1) && first[1] === 1;
  const lengths = runs.map(({ answers }) => answers.at(-1)![i]![0].length);
  const rises = lengths.reduce((sum, length, j) => sum + Math.max(0, length - (lengths[j - 1] ?? length)), 0);
  return (right ? 1000 : 0) + first[0].length - last[0].length - 3 * rises;
};
/**
 * Problems in the order in which they are shown: first those that every model gets right, by the tokens that training saves, and less
 * those whose answers grow from one alpha to the next.
 */
const order = Array.from({ length: PROBLEMS }, (_, i) => i).sort((a, b) => saved(b) - saved(a));
for (const run of runs) run.answers = run.answers.map((answers) => order.map((i) => answers[i]!));

const recordings: Recordings = {
  facts: {
    adapter: gpu.name,
    iterations: config.rl.max_iterations,
    prompts: config.rl.num_prompts,
    evaluated: config.eval.num_problems,
  },
  vocabulary,
  problems: order.map((i) => {
    const { prompt, answer: gold } = sources.task.test[i]!;
    return { prompt, answer: gold };
  }),
  base: scoresOf(base.evaluation),
  cutoffs: CUTOFFS.map((limit) => {
    const { accuracy, mean_length } = scoreAtCutoff(base.evaluation.completions, limit);
    return { limit, tokens: round(mean_length), accuracy: round(accuracy) };
  }),
  baselines: baselines(),
  runs,
};
const json = JSON.stringify(recordings);
if (json.length > MOST_BYTES) throw new Error(`expected at most ${MOST_BYTES} bytes of recordings, got ${json.length}`);
writeFileSync(new URL("../web/recordings.json", import.meta.url), json);
note(`web/recordings.json, ${json.length} bytes`);

/** SFT and DPO, as docs/results has them. */
function baselines(): Recordings["baselines"] {
  interface Row {
    method: string;
    tokens: number;
    tokensHalf: number;
    accuracy: number;
    accuracyHalf: number;
  }
  const { rows } = JSON.parse(readFileSync(shipped("docs/results/reproduce.json"), "utf8")) as { rows: Row[] };
  const untrained = rows.findLast(({ method }) => method === "Base")!.tokens;
  return rows
    .filter(({ method }) => method === "SFT" || method === "DPO")
    .map(({ method, tokens, tokensHalf, accuracy, accuracyHalf }) => ({
      method,
      x: round(tokens / untrained),
      y: round(accuracy),
      halfX: round(tokensHalf / untrained),
      halfY: round(accuracyHalf),
    }));
}

/** One training run, and what is shown of it. */
async function record(device: DeviceGpu, alpha: number): Promise<RecordedRun> {
  const dir = `${FOLDER}/alpha-${alpha}`;
  const changed = await loadConfig(files, [START], {
    rl: { alpha },
    train: { output_dir: dir, save_every: EVERY },
  });
  const folder = await openRun(changed, "train");
  const kept = await cached(`${dir}/recorded.json`, async () => {
    const { model, finished } = await runTraining(device, sources, folder);
    if (!finished) throw new Error("interrupted; the same command goes on");
    const { completions: _, ...evaluation } = await evaluateModel(model, sources, changed, `alpha ${alpha}`);
    model.dispose();
    const answers: { step: number; answers: Answer[] }[] = [];
    for (const { step, path } of await checkpointSteps(files, folder.checkpoints)) {
      const trained = await Model.load(device, files, path, { dtype: changed.model.dtype });
      answers.push({ step, answers: await answer(trained, sources, changed) });
      trained.dispose();
    }
    return { evaluation, answers };
  });
  const all = [{ step: 0, answers: base.answers }, ...kept.answers];
  return {
    alpha,
    metrics: (await folder.readMetrics()).map((row) => ({
      iteration: Number(row["step"]),
      alpha,
      accuracy: round(row["accuracy"]),
      reward: round(row["reward"]),
      "completions/mean_length": round(row["completions/mean_length"]),
      "completions/clipped_ratio": round(row["completions/clipped_ratio"]),
    })),
    scores: scoresOf(kept.evaluation),
    steps: all.map(({ step }) => step),
    answers: all.map(({ answers }) =>
      answers.map(({ tokens, correct }): RecordedAnswer => [encodeTokens(tokens, vocabulary), correct ? 1 : 0]),
    ),
    groups: await groupsOf(folder, config.rl.num_generations),
  };
}

interface Answer {
  tokens: string[];
  correct: boolean;
}

/** Greedy answers to the first held-out problems, token by token. */
async function answer(model: Model, { tokenizer, task, stopTokenIds }: Sources, { eval: options, ...rest }: Config) {
  const sampler = new Sampler(model, engineOptions({ eval: options, ...rest }), { onWarning: note });
  const sampling = { temperature: 0, topK: 0, topP: 1, maxTokens: options.max_completion_length, seed: 0 };
  const problems = task.test.slice(0, PROBLEMS);
  const groups = await sampleRollouts(sampler, tokenizer, task, problems, 1, sampling, { stopTokenIds });
  return groups.map(([rollout]): Answer => {
    const decoder = new StreamDecoder(tokenizer);
    // The stop token counts as a token of the response, and says nothing.
    const tokens = rollout!.tokenIds.map((id, i, ids) => decoder.push([id], i === ids.length - 1));
    return { tokens, correct: rollout!.correct };
  });
}

/** Of some iterations the group that shows most: right and wrong responses, or else right ones of many lengths, none far from the rest. */
async function groupsOf(folder: RunFolder, size: number): Promise<RecordedRun["groups"]> {
  const rows = (await Array.fromAsync(folder.readCompletions())) as unknown as (RolloutRow & { step: number })[];
  const groups = Array.from({ length: rows.length / size }, (_, g) => rows.slice(g * size, (g + 1) * size));
  const shown = (group: readonly RolloutRow[]) => {
    const lengths = group
      .filter(({ correct }) => correct)
      .map(({ length }) => length)
      .sort((a, b) => a - b);
    const mixed = lengths.length >= size / 2 && lengths.length < size;
    const even = lengths.at(-1)! < 2 * lengths[Math.floor(lengths.length / 2)]!;
    return 2 * new Set(lengths).size + (mixed ? 3 : 0) + (even ? 4 : 0);
  };
  return [...Map.groupBy(groups, ([first]) => first!.step)]
    .filter(([iteration]) => iteration === 1 || iteration % EVERY === 0)
    .map(([iteration, of]) => {
      const best = of.toSorted((a, b) => shown(b) - shown(a))[0]!;
      return {
        iteration,
        prompt: best[0]!.problem_id,
        responses: best.map(({ completion, length, correct, finish_reason }) => ({
          completion,
          length,
          correct,
          finish_reason,
        })),
      };
    });
}

function scoresOf(scores: Omit<Evaluation, "completions">): RecordedScores {
  const interval = ([low, high]: [number, number]): [number, number] => [round(low), round(high)];
  return {
    accuracy: round(scores.accuracy),
    accuracyInterval: interval(scores.accuracy_interval),
    tokens: round(scores.mean_length),
    tokensInterval: interval(scores.mean_length_interval),
    tokensByDifficulty: Object.fromEntries(
      Object.entries(scores.by_difficulty).map(([difficulty, { mean_length }]) => [difficulty, round(mean_length)]),
    ),
  };
}

function round(value: unknown): number {
  return Number(Number(value).toPrecision(4));
}

async function cached<T>(path: string, make: () => Promise<T>): Promise<T> {
  if (await files.exists(path)) return JSON.parse(await files.readText(path)) as T;
  const value = await make();
  await files.mkdir(FOLDER);
  await files.write(path, JSON.stringify(value));
  return value;
}
