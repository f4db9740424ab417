/**
 * Adapters beside all weights, seed by seed in turns: what each training run makes of the task's held-out problems, how long an
 * iteration takes, and the memory in use beside its plan.
 *
 *     node --import ./scripts/wgsl-hook.js bench/adapters.ts [CONFIG [ADAPTERS]] [--seeds=1,2,3] [--output-dir=runs/adapters] [--section.key=value ...]
 *
 * ADAPTERS (default configs/lora.toml) is what goes on top of CONFIG (default configs/start.toml). Runs keep their folders there, and
 * what is finished is not done again.
 */
import process from "node:process";
import { evaluateModel } from "../src/cli/eval.ts";
import { bytes, files, INTERRUPTED, loadModel, note, openGpu, openSources } from "../src/cli/host.ts";
import { openRun } from "../src/cli/open-run.ts";
import { runTraining } from "../src/cli/train.ts";
import { percent } from "../src/core/format.ts";
import { summarize } from "../src/measure/statistics.ts";
import { readModelConfig, type Model } from "../src/model/model.ts";
import { loadConfig, type Config } from "../src/run/config.ts";
import { typedSettings } from "../src/run/typed-settings.ts";
import { planMemory } from "../src/train/memory-plan.ts";
import { adamwOptions, plannedOptions, rlOptions } from "../src/train/options.ts";
import type { Sources } from "../src/train/sources.ts";

/** On the held-out problems. */
interface Scores {
  accuracy: number;
  tokens: number;
}

interface Outcome extends Scores {
  /** Of an iteration, the median. */
  seconds: number;
  /** Bytes in use at most while it trained, and what was planned without idle buffers. */
  peak: number;
  planned: number;
}

const given = process.argv.slice(2);
const [start = "configs/start.toml", adapters = "configs/lora.toml"] = given.filter((arg) => !arg.startsWith("--"));
const flags = new Map(
  given.filter((arg) => arg.startsWith("--")).map((arg) => arg.slice(2).split(/=(.*)/s, 2) as [string, string]),
);
const dir = flags.get("output-dir") ?? "runs/adapters";
const seeds = (flags.get("seeds") ?? "1,2,3").split(",").map(Number);
const settings = [...flags].filter(([key]) => key.includes("."));
const KINDS = { "all weights": [start], adapters: [start, adapters] } as const;
type Kind = keyof typeof KINDS;

const gpu = await openGpu(process.env["PITH_ADAPTER"]);

const configOf = async (kind: Kind, seed: number): Promise<Config> => {
  const config = await loadConfig(files, KINDS[kind], typedSettings(settings));
  const output_dir = `${dir}/seed-${seed}-${kind.replace(" ", "-")}`;
  return { ...config, train: { ...config.train, seed, output_dir } };
};

/** What the file at `path` holds, or what `make` makes. */
async function kept<T>(path: string, make: () => Promise<T>): Promise<T> {
  if (await files.exists(path)) return JSON.parse(await files.readText(path)) as T;
  const value = await make();
  await files.write(path, JSON.stringify(value));
  return value;
}

const scoresOf = async (model: Model, sources: Sources, config: Config, what: string): Promise<Scores> => {
  const { accuracy, mean_length: tokens } = await evaluateModel(model, sources, config, what);
  for (const some of new Set([model, model.base])) some?.dispose();
  return { accuracy, tokens };
};

async function train(kind: Kind, seed: number): Promise<Outcome> {
  const config = await configOf(kind, seed);
  return kept(`${config.train.output_dir}/outcome.json`, async () => {
    const sources = await openSources(config);
    const shape = await readModelConfig(files, sources.modelDir);
    const options = { like: gpu, ...plannedOptions(config) };
    const plan = await planMemory(shape, config.model.dtype, rlOptions(config), adamwOptions(config), options);
    const folder = await openRun(config, "train");
    const before = (gpu.pool.peakBytes = gpu.pool.usedBytes);
    const { model, finished } = await runTraining(gpu, sources, folder);
    if (!finished) process.exit(INTERRUPTED);
    const peak = gpu.pool.peakBytes - before;
    const seconds = (await folder.readMetrics()).map((row) => Number(row["step_time"]));
    const scores = await scoresOf(model, sources, config, `${kind}, seed ${seed}`);
    return { ...scores, seconds: summarize(seconds).median, peak, planned: plan.total - plan.idle };
  });
}

await files.mkdir(dir);
const base = await kept(`${dir}/base.json`, async () => {
  const config = await configOf("all weights", 1);
  const sources = await openSources(config);
  return scoresOf(await loadModel(gpu, sources, config.model.dtype), sources, config, "before training");
});
const outcomes: Record<Kind, Outcome[]> = { "all weights": [], adapters: [] };
for (const seed of seeds) {
  for (const kind of ["all weights", "adapters"] as const) {
    const outcome = await train(kind, seed);
    outcomes[kind].push(outcome);
    note(`${kind}, seed ${seed}: ${percent(outcome.accuracy)}, ${outcome.tokens.toFixed(1)} tokens`);
  }
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
const row = (...cells: string[]) => console.log(`| ${cells.join(" | ")} |`);
const outcomeRow = (kind: string, seed: string, some: readonly Outcome[], share: string) => {
  const of = (key: keyof Outcome) => mean(some.map((outcome) => outcome[key]));
  const { peak, planned } = some.reduce((most, one) => (one.peak > most.peak ? one : most));
  const [accuracy, tokens, seconds] = [percent(of("accuracy")), of("tokens").toFixed(1), of("seconds").toFixed(2)];
  row(kind, seed, accuracy, tokens, share, seconds, bytes(peak), bytes(planned));
};
row("trained", "seed", "accuracy", "tokens", "shortening of all weights'", "s an iteration", "memory", "planned");
row("---", "---", "---:", "---:", "---:", "---:", "---:", "---:");
row("nothing", "", percent(base.accuracy), base.tokens.toFixed(1), "", "", "", "");
const shortening = (some: readonly Outcome[]) => base.tokens - mean(some.map(({ tokens }) => tokens));
const compare = (seed: string, whole: readonly Outcome[], adapted: readonly Outcome[]) => {
  outcomeRow("all weights", seed, whole, "");
  outcomeRow("adapters", seed, adapted, percent(shortening(adapted) / shortening(whole)));
};
seeds.forEach((seed, i) => compare(`${seed}`, [outcomes["all weights"][i]!], [outcomes.adapters[i]!]));
if (seeds.length > 1) compare("mean", outcomes["all weights"], outcomes.adapters);
process.exit(0);
