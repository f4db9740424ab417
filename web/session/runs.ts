import { FormatError } from "../../src/errors.ts";
import { RunFolder } from "../../src/run/run-folder.ts";
import type { Disk } from "../storage/overflow-files.ts";
import type { RolloutRow, RunView } from "./protocol.ts";
import {
  completionSchema,
  frameSchema,
  metricsSchema,
  runSchema,
  scoresSchema,
  type Frame,
  type Run,
  type Scores,
} from "./records.ts";

const FOLDER = "runs";
const FRAMES = "frames.jsonl";
/** Holds the models that visitors brought. */
export const BROUGHT = "own";

const basePath = (model: string, task: string): string => `base/${model}/${task}.json`;

/**
 * Runs in the store, each a folder as every run of Pith leaves one (runs/ID), with run.json and frames.jsonl, and model/ once it is
 * finished.
 */
export class Runs {
  readonly files: Disk;
  readonly #onUnreadable: (message: string) => void;

  /** `onUnreadable` hears of files that are left alone, because an earlier visit or the disk broke them. */
  constructor(files: Disk, onUnreadable: (message: string) => void) {
    this.files = files;
    this.#onUnreadable = onUnreadable;
  }

  folder = (id: string): string => `${FOLDER}/${id}`;
  model = (id: string): string => `${FOLDER}/${id}/model`;

  /** The folder of the model that a run began with. */
  modelOf = async (id: string): Promise<string> => (await this.open(id)).config.model.path;

  open = (id: string): Promise<RunFolder> => RunFolder.read(this.files, this.folder(id));

  /** Oldest first. */
  async list(): Promise<Run[]> {
    if (!(await this.files.exists(FOLDER))) return [];
    const runs: Run[] = [];
    for (const id of await this.files.list(FOLDER)) {
      const run = (await this.#json(`${FOLDER}/${id}/run.json`, runSchema)) as Run | null;
      if (run?.id === id) runs.push(run);
    }
    return runs.sort((a, b) => a.created - b.created);
  }

  async read(id: string): Promise<Run> {
    const run = (await this.list()).find((one) => one.id === id);
    if (!run) throw new FormatError(`expected the run ${id}, got none that can be read; reload the page`);
    return run;
  }

  async save(run: Run): Promise<void> {
    await this.files.write(`${this.folder(run.id)}/run.json`, JSON.stringify(run));
  }

  /** Keeps an exported run under an id of its own. A file that is none leaves everything as it was. */
  async add(name: string, contents: ReadonlyMap<string, Uint8Array>): Promise<Run> {
    const json = contents.get("run.json");
    if (!json || !contents.has("config.json"))
      throw new FormatError(`${name}: expected a run that this page exported, got no run.json and config.json in it`);
    const read = runSchema.safeParse(parsed(new TextDecoder().decode(json)));
    if (!read.success)
      throw new FormatError(`${name}: run.json is not a run's (${read.error.issues[0]!.message}); export it again`);
    const run = { ...read.data, id: Date.now().toString(36) };
    const aside = `imported/${run.id}`;
    for (const [path, bytes] of contents) await this.files.write(`${aside}/${path}`, bytes);
    await this.files.write(`${aside}/run.json`, JSON.stringify(run));
    await this.files.rename(aside, this.folder(run.id));
    return run;
  }

  async rename(id: string, name: string): Promise<void> {
    await this.save({ ...(await this.read(id)), name });
  }

  async remove(id: string): Promise<void> {
    await this.files.remove(this.folder(id));
  }

  /** What is to be drawn of a run, up to its iteration `last`. What cannot be read of it is left out. */
  async view(id: string, last: number): Promise<RunView> {
    try {
      const folder = await this.open(id);
      const rows = (await folder.readMetrics()).map((row) => metricsSchema.parse(row));
      const metrics = rows.filter(({ iteration }) => iteration <= last);
      let completions: RolloutRow[] = [];
      let of = 0;
      for await (const read of folder.readCompletions()) {
        const row = completionSchema.parse(read);
        if (row.step > last) break;
        if (row.step !== of) completions = []; // only the last iteration's are shown
        of = row.step;
        completions.push(row as unknown as RolloutRow);
      }
      // A run that went on from a checkpoint answered some iterations twice.
      const frames = new Map<number, Frame>();
      for (const row of await folder.takeRows(FRAMES)) {
        const frame = frameSchema.parse(row);
        if (frame.step <= last) frames.set(frame.step, frame);
      }
      return { metrics, completions, frames: [...frames.values()].sort((a, b) => a.step - b.step) };
    } catch (error) {
      this.#onUnreadable(`${this.folder(id)}: ${(error as Error).message}`);
      return { metrics: [], completions: [], frames: [] };
    }
  }

  addFrame = (folder: RunFolder, frame: Frame): Promise<void> => folder.append(FRAMES, [frame]);

  /** The scores of an untrained model, by its folder, on a task's held-out problems, once they are known. */
  base = (model: string, task: string): Promise<Scores | null> => this.#json(basePath(model, task), scoresSchema);

  async saveBase(model: string, task: string, scores: Scores): Promise<void> {
    await this.files.write(basePath(model, task), JSON.stringify(scores));
  }

  /** Removes the models that visitors brought and no run began with. */
  async removeUnused(): Promise<void> {
    const used = new Set<string>();
    for (const { id } of await this.list()) {
      const path = await this.modelOf(id).catch(() => null);
      if (path === null) return; // it may have begun with any
      used.add(path);
    }
    for (const name of (await this.files.exists(BROUGHT)) ? await this.files.list(BROUGHT) : [])
      if (!used.has(`${BROUGHT}/${name}`)) await this.files.remove(`${BROUGHT}/${name}`);
  }

  /** A file's content, null where there is none or none that can be read. */
  async #json<T>(path: string, schema: { parse(value: unknown): T }): Promise<T | null> {
    if (!(await this.files.exists(path))) return null;
    try {
      return schema.parse(parsed(await this.files.readText(path)));
    } catch {
      this.#onUnreadable(path);
      return null;
    }
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null; // as no schema has it
  }
}
