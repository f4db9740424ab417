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

  get checkpoints(): string {
    return `${this.dir}/checkpoints`;
  }

  /** Opens a new folder, or one that the same configuration began; how far it is to go may differ. */
  static async open(files: Files, config: Config): Promise<RunFolder> {
    const dir = config.train.output_dir;
    const path = `${dir}/config.json`;
    if (await files.exists(path)) {
      const before = JSON.parse(await files.readText(path)) as Config;
      const difference = firstDifference(comparable(before), comparable(config));
      if (difference) {
        throw new ConfigError(
          `${dir} holds a run with another ${difference}; choose another train.output_dir, or remove it`,
        );
      }
    }
    await files.mkdir(dir);
    await files.write(path, `${JSON.stringify(config, null, 2)}\n`);
    return new RunFolder(files, config);
  }

  /** Drops what was logged after `step`, the step that the run resumes from. */
  async cutBack(step: number): Promise<void> {
    for (const name of ["metrics.jsonl", "completions.jsonl"])
      await truncateLines(this.#files, `${this.dir}/${name}`, step);
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

  /** Writes the metrics so far as a TensorBoard event file, in one piece: what a kill can leave behind is whole. */
  async writeEvents(): Promise<void> {
    const rows = (await this.readMetrics()).map(({ step, time, ...values }) => ({
      step: Number(step),
      wallTime: Number(time),
      values: values as Record<string, number>,
    }));
    if (rows.length > 0) await this.#files.write(`${this.dir}/events.out.tfevents.pith`, eventFile(rows));
  }

  async readMetrics(): Promise<Row[]> {
    return readJsonLines(this.#files, `${this.dir}/metrics.jsonl`);
  }

  async readCompletions(): Promise<Row[]> {
    return readJsonLines(this.#files, `${this.dir}/completions.jsonl`);
  }

  async #append(name: string, rows: readonly Row[]): Promise<void> {
    await this.#files.append(`${this.dir}/${name}`, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  }
}

export async function readJsonLines(files: Files, path: string): Promise<Row[]> {
  if (!(await files.exists(path))) return [];
  const text = await files.readText(path);
  return text.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line) as Row]));
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

/** Cuts a JSON Lines file to the rows of steps up to `last`: what a resumed run will write again is dropped. */
async function truncateLines(files: Files, path: string, last: number): Promise<void> {
  if (!(await files.exists(path))) return;
  const text = await files.readText(path);
  let size = 0;
  for (const line of text.split("\n")) {
    // A line that a killed process did not finish is the last one, and goes too.
    if (line === "" || !line.endsWith("}")) break;
    let row: Record<string, unknown>;
    try {
      row = JSON.parse(line) as Record<string, unknown>;
    } catch (error) {
      throw new FormatError(`${path}: expected JSON lines: ${(error as Error).message}`, { cause: error });
    }
    if (Number(row["step"]) > last) break;
    size += new TextEncoder().encode(line).length + 1;
  }
  await files.truncate(path, Math.min(size, await files.size(path)));
}
