import { runBench } from "../measure/bench.ts";
import { compareResults } from "../measure/comparison.ts";
import { comparisonToMarkdown, figures, rate, toMarkdown } from "../measure/markdown.ts";
import { MODELS } from "../measure/models.ts";
import { PARTS, type BenchResult, type Line, type Skipped } from "../measure/result.ts";
import { measureRoof } from "../measure/roof.ts";
import { Stopwatch } from "../measure/stopwatch.ts";
import type { BenchOptions } from "../measure/workload.ts";
import { FormatError, UsageError } from "../errors.ts";
import { files, note, openGpu, print } from "./host.ts";

export interface BenchFlags extends Omit<BenchOptions, "parts" | "models"> {
  /** Names with commas between them, or "all". */
  models: string;
  adapter?: string;
  /** Where the result goes, as <output>.json and <output>.md. */
  output?: string;
}

/** `pith bench`: measures kernels, engine and trainer on the adapter at hand. */
export async function benchCommand(parts: readonly string[], flags: BenchFlags): Promise<void> {
  const { adapter, output, ...rest } = flags;
  const options = {
    ...rest,
    parts: parts.length === 0 ? PARTS : parts.map((part) => named("parts", part, PARTS)),
    models:
      flags.models === "all"
        ? Object.keys(MODELS)
        : flags.models.split(",").map((model) => named("--model", model, Object.keys(MODELS))),
  };
  const gpu = await openGpu(adapter);
  note(`${gpu.name}, tier ${gpu.tier}${gpu.tuning ? " with measured tiles" : ""}; the roof first`);
  const watch = new Stopwatch(gpu);
  const result = await runBench(watch, await measureRoof(watch), options, (entry) => note(progress(entry)));
  const page = toMarkdown(result);
  print(page);
  if (output === undefined) return;
  const folder = output.slice(0, output.lastIndexOf("/"));
  if (output.includes("/") && folder !== "") await files.mkdir(folder);
  await files.write(`${output}.json`, `${JSON.stringify(result, null, 1)}\n`);
  await files.write(`${output}.md`, page);
}

/** `pith bench --compare A B`: two results of it. */
export async function compareCommand(paths: readonly string[]): Promise<void> {
  if (paths.length !== 2)
    throw new UsageError(`--compare: expected two results of pith bench --output, got ${paths.join(" ") || "none"}`);
  const [before, after] = await Promise.all(paths.map(readResult));
  if (before!.adapter.name !== after!.adapter.name || before!.adapter.tier !== after!.adapter.tier) {
    const which = ({ adapter }: BenchResult) => `${adapter.name}, tier ${adapter.tier}`;
    note(`of different adapters or tiers: ${which(before!)} and ${which(after!)}`);
  }
  print(comparisonToMarkdown(compareResults(before!, after!)));
}

async function readResult(path: string): Promise<BenchResult> {
  const result = JSON.parse(await files.readText(path)) as Partial<BenchResult>;
  if (!Array.isArray(result.lines) || !result.adapter)
    throw new FormatError(`${path}: expected a result of pith bench --output`);
  return result as BenchResult;
}

function progress(entry: Line | Skipped): string {
  const what = `${entry.model}  ${entry.name}  ${entry.shape}`;
  if ("reason" in entry) return `${what}  left out: ${entry.reason}`;
  return `${what}  ${figures(entry.ms.median)} ms  ${rate(entry)}  ${figures(100 * entry.roof_share)}% of the roof`;
}

function named<T extends string>(what: string, name: string, known: readonly T[]): T {
  const found = known.find((other) => other === name);
  if (found === undefined) throw new UsageError(`${what}: expected any of ${known.join(", ")}, got ${name}`);
  return found;
}
