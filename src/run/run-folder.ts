import { ConfigError, FormatError } from "../errors.ts";
import type { Files } from "../runtime/types.ts";
import type { Config } from "./config.ts";
import { eventFile } from "./tensorboard.ts";

type Row = Record<string, unknown>;

/**
 * A run on the disk: config.json as resolved, metrics.jsonl, completions.jsonl, TensorBoard events, checkpoints/, report.html.
 * Rows carry `step`; a resumed run cuts the files back to its checkpoint, so that they read as if it had never stopped.
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
    return RunFolder.at(files, dir, await readConfig(files, `${dir}/config.json`));
  }

  get checkpoints(): string {
    return `${this.dir}/checkpoints`;
  }

  /** Opens a new folder, or one that the same configuration began; how far it is to go may differ. */
  static async open(files: Files, config: Config): Promise<RunFolder> {
    const dir = config.train.output_dir;
    const path = `${dir}/config.json`;
    if (await files.exists(path)) {
      const difference = firstDifference(comparable(await readConfig(files, path)), comparable(config));
      if (difference) {
        throw new ConfigError(
          `${dir} holds a run with another ${difference}; choose another train.output_dir, or remove it`,
        );
      }
    }
    await files.mkdir(dir);
    const folder = new RunFolder(files, config);
    await folder.write("config.json", `${JSON.stringify(config, null, 2)}\n`);
    return folder;
  }

  /** Drops what was logged after `step`, the step that the run resumes from. */
  async cutBack(step: number): Promise<void> {
    await truncateLines(this.#files, `${this.dir}/completions.jsonl`, step);
    const kept = await truncateLines(this.#files, `${this.dir}/metrics.jsonl`, step);
    if (kept !== step) {
      throw new FormatError(
        `${this.dir}/metrics.jsonl: expected a row for each of the ${step} steps of the newest checkpoint, got ${kept}; remove that checkpoint, or begin anew in another train.output_dir`,
      );
    }
  }

  /** Replaces a file of the folder. It is written aside and renamed: a process that is killed leaves the old one or the new one. */
  async write(name: string, data: string | Uint8Array): Promise<void> {
    const aside = `${this.dir}/.unfinished_${name}`;
    await this.#files.write(aside, data);
    await this.#files.rename(aside, `${this.dir}/${name}`);
  }

  async log(step: number, metrics: Readonly<Record<string, number>>): Promise<void> {
    await this.#append("metrics.jsonl", [{ step, ...metrics, time: Date.now() / 1000 }]);
  }

  async logCompletions(step: number, completions: readonly object[]): Promise<void> {
    await this.#append(
      "completions.jsonl",
      completions.map((completion) => ({ step, ...completion })),
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

  async #append(name: string, rows: readonly Row[]): Promise<void> {
    await this.#files.append(`${this.dir}/${name}`, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  }
}

async function readConfig(files: Files, path: string): Promise<Config> {
  const text = await files.readText(path);
  try {
    const config = JSON.parse(text) as Config;
    for (const section of ["train", "rl"] as const) if (typeof config[section] !== "object") throw new Error(section);
    return config;
  } catch (error) {
    throw new FormatError(
      `${path}: expected the configuration that the run began with, got ${JSON.stringify(text.slice(0, 40))}; choose another train.output_dir, or remove the folder`,
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
  try {
    return JSON.parse(line) as Row;
  } catch (error) {
    throw new FormatError(`${path}: expected JSON lines: ${(error as Error).message}`, { cause: error });
  }
}

/** What must agree for a run to be the same run: how often it saves, how far it goes and where it runs may change. */
function comparable({
  train: { save_every: _s, ...train },
  rl: { max_iterations: _i, ...rl },
  device: _d,
  eval: _e,
  ...rest
}: Config): object {
  return { ...rest, train, rl };
}

function firstDifference(a: object, b: object, path = ""): string | null {
  for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
    const [x, y] = [(a as Row)[key], (b as Row)[key]];
    const here = path ? `${path}.${key}` : key;
    if (typeof x === "object" && typeof y === "object" && x && y) {
      const inner = firstDifference(x, y, here);
      if (inner) return inner;
    } else if (x !== y) return `${here} (${JSON.stringify(x)}, not ${JSON.stringify(y)})`;
  }
  return null;
}

/**
 * Cuts a JSON Lines file to the rows of steps up to `last`: what a resumed run will write again is dropped.
 *
 * @returns rows that are left
 */
async function truncateLines(files: Files, path: string, last: number): Promise<number> {
  if (!(await files.exists(path))) return 0;
  let [rows, size] = [0, 0];
  for await (const { row, end } of readRows(files, path)) {
    if (Number(row["step"]) > last) break;
    rows++;
    size = end;
  }
  await files.truncate(path, size);
  return rows;
}
