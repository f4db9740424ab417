/**
 * A tiny arena in the folder that is named: two methods, and alpha under two normalisations, on a few hundred tokens each. `pith
 * reproduce --arena` is the same with all of them.
 */
import process from "node:process";
import { runArena } from "../../src/cli/arena.ts";
import { openHost } from "../../src/cli/experiments.ts";
import { arenaPlan } from "../../src/reproduce/arena-plan.ts";
import type { Experiment } from "../../src/reproduce/experiment.ts";

const seeds = [1];
const common = {
  rl: { num_prompts: 2, num_generations: 4, max_completion_length: 100 },
  engine: { max_num_seqs: 8 },
  train: { save_every: 1 },
  eval: { num_problems: 5, max_completion_length: 100 },
};
const fewSteps = (experiment: Experiment): Experiment => ({
  ...experiment,
  overrides: {
    ...experiment.overrides,
    ...(experiment.trainer === "sft" && { sft: { data: "shortest_correct", max_steps: 2, tokens_per_batch: 256 } }),
  },
});
const host = { ...(await openHost({ seeds, dir: process.argv[2]! })), common };
process.exitCode = await runArena(host, seeds, 1500, (size) => {
  const { methods, scalings } = arenaPlan({ ...size, quick: true });
  return {
    methods: methods.filter(({ method }) => method === "hapo" || method === "sft").map(fewSteps),
    scalings: scalings.filter(({ method, strength }) => method === "sigmoid, group" && strength === 0.4),
  };
});
process.exit();
