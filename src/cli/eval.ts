import { scoreAtCutoff } from "../core/cutoff.ts";
import type { Scores } from "../core/scores.ts";
import { ConfigError, FormatError } from "../errors.ts";
import type { Model } from "../model/model.ts";
import type { Config } from "../run/config.ts";
import { evaluate, summarise, type Evaluation } from "../train/evaluate.ts";
import type { RolloutRow } from "../train/rollouts.ts";
import type { Sources } from "../train/sources.ts";
import { percent } from "../core/format.ts";
import { duration, files, interruptSignal, loadModel, note, openSources, print } from "./host.ts";
import { openDevices } from "./devices.ts";
import { requireStopTokens } from "./open-run.ts";
import { engineOptions, evaluateOptions } from "../train/options.ts";
import { Sampler } from "../train/sampler.ts";

/** Problems evaluated together where responses are kept in a file, so that an interruption loses at most these. */
const CHUNK = 100;

/** Scores a model on the task's held-out problems. */
export async function evaluateModel(model: Model, sources: Sources, config: Config, what: string): Promise<Evaluation> {
  return summarise(await judgeProblems(model, sources, config, what, { first: 0, last: config.eval.num_problems }));
}

/** Judged responses to held-out problems `first` to `last`, a problem's own in a row. */
async function judgeProblems(
  model: Model,
  { task, tokenizer, stopTokenIds }: Sources,
  config: Config,
  what: string,
  { first, last }: { first: number; last: number },
): Promise<RolloutRow[][]> {
  const sampler = new Sampler(model, engineOptions(config), { onWarning: note });
  const options = evaluateOptions(config);
  const start = performance.now();
  let shown = 0;
  const onProgress = (done: number, total: number) => {
    const share = done / total;
    if (share < shown + 0.2 && done < total) return;
    shown = share;
    const seconds = (performance.now() - start) / 1000;
    note(
      `eval ${what} ${done}/${total} | ${(done / seconds).toFixed(1)} responses/s | ${duration((seconds * (total - done)) / done)} left`,
    );
  };
  const host = { stopTokenIds, firstPromptId: first, signal: interruptSignal(), onProgress };
  const { completions } = await evaluate(sampler, tokenizer, task, task.test.slice(first, last), options, host);
  return groupsOf(completions, options.numSamples);
}

const groupsOf = (completions: readonly RolloutRow[], size: number): RolloutRow[][] =>
  Array.from({ length: Math.ceil(completions.length / size) }, (_, g) => completions.slice(g * size, (g + 1) * size));

/** The first line of a file of responses: what they are responses of. */
interface Header {
  model: string;
  task: Config["task"];
  eval: Config["eval"];
}

/** What a file of responses holds: its header, the responses of whole problems, and the bytes that these take. */
interface Kept {
  header: Header;
  completions: RolloutRow[];
  size: number;
}

/** Reads a file of responses, null where there is none. What a killed process left of a problem is not counted. */
async function readKept(path: string): Promise<Kept | null> {
  if (!(await files.exists(path)) || (await files.size(path)) === 0) return null;
  const lines = (await files.readText(path)).split("\n").slice(0, -1);
  const rows = lines.map((line) => parseObject(line, path));
  const header = rows.shift() as Partial<Header> | undefined;
  const size = header?.eval?.num_samples;
  if (typeof header?.model !== "string" || !Number.isSafeInteger(size) || size! < 1) throw notResponses(path);
  if (!rows.every((row) => typeof row["completion"] === "string" && typeof row["length"] === "number"))
    throw notResponses(path);
  const whole = rows.length - (rows.length % size!);
  const bytes = lines.slice(0, 1 + whole).reduce((sum, line) => sum + new TextEncoder().encode(line).length + 1, 0);
  return { header: header as Header, completions: rows.slice(0, whole) as unknown as RolloutRow[], size: bytes };
}

const notResponses = (path: string): FormatError =>
  new FormatError(`${path}: expected responses that pith eval --output wrote, got something else; it is left as it is`);

function parseObject(line: string, path: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // reported below
  }
  throw notResponses(path);
}

/** The scores of the responses that `path` holds so far. */
export async function readResponses(path: string): Promise<Evaluation> {
  const kept = await readKept(path);
  if (!kept) throw notResponses(path);
  return summarise(groupsOf(kept.completions, kept.header.eval.num_samples));
}

/** Evaluates what `path` does not hold yet, some problems at a time. A file that is not this evaluation's is left as it is. */
async function evaluateInto(path: string, model: Model, sources: Sources, config: Config): Promise<Evaluation> {
  const { num_samples: size, num_problems: limit, ...sampling } = config.eval;
  const header: Header = { model: config.model.path, task: config.task, eval: { ...config.eval, num_problems: 0 } };
  const kept = await readKept(path);
  if (kept && JSON.stringify(kept.header) !== JSON.stringify(header)) {
    throw new ConfigError(
      `${path} holds responses of another model, task or eval section (temperature ${sampling.temperature} here); choose another --output, or remove it`,
    );
  }
  if (kept) await files.truncate(path, kept.size);
  else await files.append(path, `${JSON.stringify(header)}\n`);
  const completions = kept?.completions ?? [];
  const problems = Math.min(limit, sources.task.test.length);
  for (let first = completions.length / size; first < problems; first += CHUNK) {
    const what = `problems ${first + 1} to ${Math.min(first + CHUNK, problems)} of ${problems}`;
    const last = Math.min(first + CHUNK, problems);
    const judged = (await judgeProblems(model, sources, config, what, { first, last })).flat();
    await files.append(path, judged.map((row) => `${JSON.stringify(row)}\n`).join(""));
    completions.push(...judged);
  }
  return summarise(groupsOf(completions.slice(0, problems * size), size));
}

export interface EvalOptions {
  json: boolean;
  /** Limits in tokens for the generation-cutoff baseline. */
  cutoffs: readonly number[];
  /** A file that keeps the responses and that an interrupted evaluation goes on from. */
  output?: string;
}

/** `pith eval`: accuracy and tokens on the held-out problems, by difficulty and at every cutoff. */
export async function evalCommand(config: Config, { json, cutoffs, output }: EvalOptions): Promise<void> {
  const sources = await openSources(config);
  requireStopTokens(sources);
  const gpu = await openDevices(config, sources.modelDir);
  const model = await loadModel(gpu, sources, config.model.dtype);
  const result = output
    ? await evaluateInto(output, model, sources, config)
    : await evaluateModel(model, sources, config, sources.task.name);
  const atCutoffs = cutoffs.map((limit) => ({ limit, ...scoreAtCutoff(result.completions, limit) }));
  if (json) return print(JSON.stringify({ ...result, cutoffs: atCutoffs }));

  const line = (...cells: string[]) =>
    print(cells.map((cell, i) => (i ? cell.padStart(11) : cell.padEnd(11))).join(""));
  const row = (name: string, scores: Scores) =>
    line(
      name,
      String(scores.num_problems),
      percent(scores.accuracy),
      percent(scores.majority),
      scores.mean_length.toFixed(1),
      percent(scores.clipped_ratio),
    );
  line("difficulty", "problems", "accuracy", "majority", "tokens", "cut off");
  for (const [name, scores] of Object.entries(result.by_difficulty)) row(name, scores);
  row("all", result);
  const [low, high] = result.accuracy_interval;
  const [shortest, longest] = result.mean_length_interval;
  print();
  print(
    `95% over problems: accuracy ${percent(low)} to ${percent(high)}, tokens ${shortest.toFixed(1)} to ${longest.toFixed(1)}`,
  );
  print(
    `pass@k: ${Object.entries(result.pass_at_k)
      .map(([k, share]) => `${k}: ${percent(share)}`)
      .join(", ")}`,
  );
  if (atCutoffs.length === 0) return;
  print();
  line("cutoff", "accuracy", "tokens", "cut off");
  for (const { limit, accuracy, mean_length, clipped_ratio } of atCutoffs)
    line(String(limit), percent(accuracy), mean_length.toFixed(1), percent(clipped_ratio));
}
