import { ConfigError, FormatError } from "../errors.ts";
import type { Files } from "../runtime/types.ts";
import { parseConfig, type Config } from "./config.ts";
import { addShare, type SamplerShare } from "./sampler-share.ts";
import { eventFile } from "./tensorboard.ts";

type Row = Record<string, unknown>;

/** The logs by step; metrics.jsonl has a row for every one. */
const LOGS = ["metrics.jsonl", "completions.jsonl", "samplers.jsonl"];

/**
 * A run on the disk: config.json as resolved, metrics.jsonl, completions.jsonl, TensorBoard events, checkpoints/, report.html; where
 * a fleet samples, samplers.jsonl. Rows carry `step`; a resumed run cuts the files back to its checkpoint, so that they read as if
 * it had never stopped.
 */
export class RunFolder {
  readonly dir: string;
  readonly config: Config;
  readonly #files: Files;

  private constructor(files: Files, config: Config) {
    this.#files = files;
    this.dir = config.train.output_dir;
    this.config = config;
  }

  /** A folder that is there, to be read. */
  static at(files: Files, dir: string, config: Config): RunFolder {
    return new RunFolder(files, { ...config, train: { ...config.train, output_dir: dir } });
  }

  /** The run that `dir` holds, to be read. */
  static async read(files: Files, dir: string): Promise<RunFolder> {
    return RunFolder.at(files, dir, (await readConfig(files, `${dir}/config.json`)).config);
  }

  get checkpoints(): string {
    return `${this.dir}/checkpoints`;
  }

  /**
   * Opens a new folder, or one that the same command began with the same configuration. Where it lies, how far it goes, how fast it
   * learns, how often it saves, where it runs and where the optimizer's state is may differ; `note` hears of what does.
   */
  static async open(files: Files, config: Config, kind: RunKind, note: (line: string) => void): Promise<RunFolder> {
    const dir = config.train.output_dir;
    const path = `${dir}/config.json`;
    if (await files.exists(path)) {
      const before = await readConfig(files, path);
      if (before.kind !== null && before.kind !== kind) {
        throw new ConfigError(
          `${dir} holds a run of pith ${before.kind}, not of pith ${kind}; choose another train.output_dir, or remove it`,
        );
      }
      const [difference] = differences(fixed(before.config), fixed(config));
      if (difference !== undefined) {
        throw new ConfigError(
          `${dir} holds a run with another ${difference}; choose another train.output_dir, or remove it`,
        );
      }
      for (const change of differences(scheduled(before.config), scheduled(config)))
        note(`${dir} goes on with another ${change}: the learning rate follows the new schedule from here on`);
    }
    await files.mkdir(dir);
    const folder = new RunFolder(files, config);
    await folder.write("config.json", `${JSON.stringify({ command: kind, ...config }, null, 2)}\n`);
    return folder;
  }

  /**
   * Drops what was logged after `step`, the step that the run resumes from. Returns how many of the steps before have no row: what a
   * log lacks is not worth a run.
   */
  async cutBack(step: number): Promise<number> {
    const logs = LOGS.map((name) => `${this.dir}/${name}`);
    const kept = await Promise.all(logs.map((path) => rowsUpTo(this.#files, path, step)));
    for (const [i, path] of logs.entries()) if (kept[i]!.cut) await this.#files.truncate(path, kept[i]!.size);
    return step - kept[0]!.steps;
  }

  /** What was logged survives a power cut: done before a checkpoint that goes on from there. */
  async sync(): Promise<void> {
    for (const name of LOGS) {
      if (await this.#files.exists(`${this.dir}/${name}`)) await this.#files.sync(`${this.dir}/${name}`);
    }
  }

  /** Replaces a file of the folder. It is written aside and renamed: a process that is killed leaves the old one or the new one. */
  async write(name: string, data: string | Uint8Array): Promise<void> {
    const aside = `${this.dir}/.unfinished_${name}`;
    await this.#files.write(aside, data);
    await this.#files.rename(aside, `${this.dir}/${name}`);
  }

  async log(step: number, metrics: Readonly<Record<string, number>>): Promise<void> {
    await this.append("metrics.jsonl", [{ step, ...metrics, time: Date.now() / 1000 }]);
  }

  async logCompletions(step: number, completions: readonly object[]): Promise<void> {
    await this.append(
      "completions.jsonl",
      completions.map((completion) => ({ step, ...completion })),
    );
  }

  /** What each sampler of a fleet drew. */
  async logSamplers(step: number, samplers: readonly SamplerShare[]): Promise<void> {
    await this.append(
      "samplers.jsonl",
      samplers.map((share) => ({ step, ...share })),
    );
  }

  /**
   * Writes the metrics so far as a TensorBoard event file: over the old one, for TensorBoard goes on in the file that it has open,
   * whose beginning stays as it is.
   */
  async writeEvents(): Promise<void> {
    const rows = (await this.readMetrics()).map(({ step, time, ...values }) => ({
      step: Number(step),
      wallTime: Number(time),
      values: Object.fromEntries(Object.entries(values).map(([tag, value]) => [tag, Number(value ?? NaN)])), // JSON has no NaN
    }));
    if (rows.length > 0) await this.#files.write(`${this.dir}/events.out.tfevents.pith`, eventFile(rows));
  }

  async readMetrics(): Promise<Row[]> {
    return Array.fromAsync(readRows(this.#files, `${this.dir}/metrics.jsonl`), ({ row }) => row);
  }

  /** The rows of completions.jsonl one by one: those of a long run are more than memory holds. */
  async *readCompletions(): AsyncGenerator<Row> {
    for await (const { row } of readRows(this.#files, `${this.dir}/completions.jsonl`)) yield row;
  }

  /** What each sampler drew over all steps, the most first; none where the run sampled for itself. */
  async readSamplers(): Promise<SamplerShare[]> {
    const shares = new Map<string, SamplerShare>();
    for await (const { row } of readRows(this.#files, `${this.dir}/samplers.jsonl`)) {
      const { step: _, ...share } = row as unknown as SamplerShare & { step: number };
      addShare(shares, share);
    }
    return [...shares.values()].sort((a, b) => b.tokens - a.tokens);
  }

  /** The rows of a JSON Lines file of the folder, [] where there is none; what a killed process left of another is cut off. */
  async takeRows(name: string): Promise<Row[]> {
    const path = `${this.dir}/${name}`;
    const rows: Row[] = [];
    let size = 0;
    for await (const { row, end } of readRows(this.#files, path)) {
      rows.push(row);
      size = end;
    }
    if (await this.#files.exists(path)) await this.#files.truncate(path, size);
    return rows;
  }

  /** Adds rows to a JSON Lines file of the folder. */
  async append(name: string, rows: readonly Row[]): Promise<void> {
    await this.#files.append(`${this.dir}/${name}`, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  }
}

/** The command that a folder's run is of: a run goes on with the same one alone. */
export type RunKind = "train" | "sft" | "dpo";

/** The configuration that a run began with, completed where it is older than a key; its command, null where it does not say. */
async function readConfig(files: Files, path: string): Promise<{ config: Config; kind: RunKind | null }> {
  const text = await files.readText(path);
  try {
    const { command, ...json } = JSON.parse(text) as Row & { command?: RunKind };
    for (const section of ["train", "rl"]) if (typeof json[section] !== "object") throw new Error(`no ${section}`);
    return { config: parseConfig(json), kind: command ?? null };
  } catch (error) {
    const why = error instanceof ConfigError ? ` (${error.message})` : "";
    throw new FormatError(
      `${path}: expected the configuration that the run began with, got ${JSON.stringify(text.slice(0, 40))}${why}; choose another train.output_dir, or remove the folder`,
      { cause: error },
    );
  }
}

/** Bytes read at a time: the completions of a long run are more than a string can hold. */
const CHUNK = 2 ** 24;

/** The rows of a JSON Lines file, none where there is no file, and where each ends. A line that a killed process did not end is no row. */
async function* readRows(files: Files, path: string): AsyncGenerator<{ row: Row; end: number }> {
  const size = (await files.exists(path)) ? await files.size(path) : 0;
  const decoder = new TextDecoder();
  let line = "";
  for (let start = 0; start < size; start += CHUNK) {
    const chunk = await files.readRange(path, start, Math.min(start + CHUNK, size));
    let first = 0;
    for (let end = chunk.indexOf(10) + 1; end > 0; end = chunk.indexOf(10, end) + 1) {
      line += decoder.decode(chunk.subarray(first, end), { stream: true });
      yield { row: parseRow(path, line), end: start + end };
      line = "";
      first = end;
    }
    line += decoder.decode(chunk.subarray(first), { stream: true });
  }
}

function parseRow(path: string, line: string): Row {
  let row: unknown;
  try {
    row = JSON.parse(line);
  } catch (error) {
    throw new FormatError(`${path}: expected JSON lines: ${(error as Error).message}`, { cause: error });
  }
  if (typeof row !== "object" || row === null || Array.isArray(row))
    throw new FormatError(`${path}: expected a JSON object on each line, got ${line.trim().slice(0, 40)}`);
  return row as Row;
}

/** What must agree for a run to be the same run: how it evaluates too, where that chooses its best checkpoint and its end. */
function fixed({ train, rl, sft, dpo, optim, device: _d, eval: evaluation, ...rest }: Config): object {
  const { save_every: _s, save_total_limit: _t, output_dir: _o, ...training } = train;
  const { learning_rate: _r, offload: _f, ...optimizer } = optim;
  const { max_iterations: _i, max_sampled_tokens: _n, ...reinforcement } = rl;
  const { max_steps: _m, ...tuning } = sft;
  const { max_steps: _p, ...preference } = dpo;
  const along = train.eval_every ? { eval: evaluation } : {};
  return { ...rest, ...along, train: training, rl: reinforcement, sft: tuning, dpo: preference, optim: optimizer };
}

/** What may change, and moves the learning rate. */
const scheduled = ({ optim, rl, sft, dpo }: Config): object => ({
  optim: { learning_rate: optim.learning_rate },
  ...(optim.lr_scheduler_type === "constant_with_warmup"
    ? {}
    : {
        rl: { max_iterations: rl.max_iterations },
        sft: { max_steps: sft.max_steps },
        dpo: { max_steps: dpo.max_steps },
      }),
});

/** `section.key (before, not now)` of each key that differs. */
function differences(before: object, now: object, path = ""): string[] {
  return [...new Set([...Object.keys(before), ...Object.keys(now)])].flatMap((key) => {
    const [x, y] = [(before as Row)[key], (now as Row)[key]];
    const here = path ? `${path}.${key}` : key;
    if (typeof x === "object" && typeof y === "object" && x && y) return differences(x, y, here);
    return x === y ? [] : [`${here} (${JSON.stringify(x)}, not ${JSON.stringify(y)})`];
  });
}

/** How much of a JSON Lines file speaks of steps up to `last`: different steps, bytes, and whether more comes after. */
async function rowsUpTo(
  files: Files,
  path: string,
  last: number,
): Promise<{ steps: number; size: number; cut: boolean }> {
  if (!(await files.exists(path))) return { steps: 0, size: 0, cut: false };
  const steps = new Set<number>();
  let size = 0;
  for await (const { row, end } of readRows(files, path)) {
    if (Number(row["step"]) > last) break;
    steps.add(Number(row["step"]));
    size = end;
  }
  return { steps: steps.size, size, cut: size < (await files.size(path)) };
}
