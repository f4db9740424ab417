import type { Run } from "../../web/session/records.ts";
import { BUNDLED } from "../../web/session/models.ts";
import { runConfig } from "../../web/session/settings.ts";
import { BlobFiles } from "../../web/storage/blob-files.ts";

export const RUN: Run = {
  id: "abc",
  name: "first",
  created: 1,
  alpha: 0.4,
  alphaChanged: false,
  model: "bundled reasoner",
  task: "arithmetic",
  pinned: "7+8=?",
  iteration: 2,
  maxIterations: 2,
  numPrompts: 2,
  scores: {
    accuracy: 0.9,
    accuracy_interval: [0.85, 0.95],
    mean_length: 30,
    mean_length_interval: [28, 32],
    by_difficulty: { 1: { accuracy: 1, mean_length: 12 }, 2: { accuracy: 0.8, mean_length: 48 } },
  },
};

/** A store with a kept run of two iterations, whose model is three bytes. */
export async function keptRun(files = new BlobFiles(), run = RUN): Promise<BlobFiles> {
  const folder = `runs/${run.id}`;
  await files.write(`${folder}/run.json`, JSON.stringify(run));
  await files.write(`${folder}/config.json`, JSON.stringify({ command: "train", ...runConfig(run, BUNDLED, folder) }));
  const rows = [1, 2].map((step) => ({
    step,
    alpha: 0.4,
    accuracy: step / 4 + 0.25,
    reward: 0.5,
    "completions/mean_length": 50 - step,
    "completions/max_length": 99,
    "completions/clipped_ratio": 0,
    step_time: 2,
  }));
  const completions = [1, 2].flatMap((step) =>
    Array.from({ length: 8 }, (_, i) => ({
      step,
      problem_id: "7+8",
      completion: "\\boxed{15}",
      length: 10 * step + i,
      correct: i > 0,
      finish_reason: "stop",
    })),
  );
  const lines = (all: readonly object[]) => all.map((row) => `${JSON.stringify(row)}\n`).join("");
  await files.write(`${folder}/metrics.jsonl`, lines(rows));
  await files.write(`${folder}/completions.jsonl`, lines(completions));
  const frames = [
    { step: 0, pieces: ["1", "5", "5"], correct: true },
    { step: 2, pieces: ["1", "5"], correct: true },
  ];
  await files.write(`${folder}/frames.jsonl`, lines(frames));
  await files.write(`${folder}/model/model.safetensors`, Uint8Array.of(1, 2, 3));
  return files;
}
