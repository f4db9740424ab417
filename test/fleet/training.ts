import { readdirSync, readFileSync } from "node:fs";
import type { RlIteration } from "../../src/train/rl.ts";
import { Pith } from "./processes.ts";

/** `pith train` of the bundled reasoner with these settings of [rl]. */
export const train = (settings: readonly string[], dir: string, ...more: string[]): Pith =>
  new Pith([
    "train",
    ...settings.map((setting) => `--rl.${setting}`),
    "--train.save_every=1",
    `--train.output_dir=${dir}`,
    ...more,
  ]);

const NOT_THE_RUNS = /^(time|rollout_time|step_time)$|^fleet\//;

/** What a run left, times and what its fleet did left out. */
export function left(dir: string): Record<string, unknown> {
  const checkpoints = readdirSync(`${dir}/checkpoints`).flatMap((step) =>
    readdirSync(`${dir}/checkpoints/${step}`).map((name) => `checkpoints/${step}/${name}`),
  );
  const metrics = readFileSync(`${dir}/metrics.jsonl`, "utf8").trimEnd().split("\n");
  return {
    metrics: metrics.map(
      (line) => JSON.parse(line, (key, value: unknown) => (NOT_THE_RUNS.test(key) ? undefined : value)) as unknown,
    ),
    completions: readFileSync(`${dir}/completions.jsonl`, "utf8"),
    ...Object.fromEntries(checkpoints.sort().map((path) => [path, readFileSync(`${dir}/${path}`, "base64")])),
  };
}

/** What iterations did, but for how long they took, and for who scored: what scores came to is in the metrics. */
export const timeless = (iterations: readonly RlIteration[]) =>
  iterations.map(({ metrics: { rollout_time: _r, step_time: _s, ...metrics }, rollouts }) => ({
    metrics,
    rollouts: rollouts.map(({ refLogprobs: _, ...rollout }) => rollout),
  }));
