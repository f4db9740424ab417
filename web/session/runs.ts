import type { RlMetrics } from "../../src/train/rl.ts";
import type { RolloutRow } from "../../src/train/rollouts.ts";
import type { Store } from "../storage.ts";
import type { ExportedMetrics, Run, Scores } from "./protocol.ts";

const FOLDER = "runs";

/** Runs in the store: runs/ID with run.json, metrics.json, completions.json, and checkpoints/ or, when finished, model/. */
export class Runs {
  readonly files: Store;

  constructor(files: Store) {
    this.files = files;
  }

  folder = (id: string): string => `${FOLDER}/${id}`;
  checkpoints = (id: string): string => `${FOLDER}/${id}/checkpoints`;
  model = (id: string): string => `${FOLDER}/${id}/model`;

  /** Oldest first. */
  async list(): Promise<Run[]> {
    if (!(await this.files.exists(FOLDER))) return [];
    const runs: Run[] = [];
    for (const id of await this.files.list(FOLDER)) {
      if (await this.files.exists(`${FOLDER}/${id}/run.json`)) runs.push(await this.read(id));
    }
    return runs.sort((a, b) => a.created - b.created);
  }

  async read(id: string): Promise<Run> {
    return JSON.parse(await this.files.readText(`${this.folder(id)}/run.json`)) as Run;
  }

  async save(run: Run): Promise<void> {
    await this.files.write(`${this.folder(run.id)}/run.json`, JSON.stringify(run));
  }

  async rename(id: string, name: string): Promise<void> {
    await this.save({ ...(await this.read(id)), name });
  }

  async remove(id: string): Promise<void> {
    await this.files.remove(this.folder(id));
  }

  /** Written before the checkpoint of the same iteration: rows beyond a checkpoint are those of one that was not finished. */
  async saveProgress(id: string, metrics: readonly RlMetrics[], completions: readonly RolloutRow[]): Promise<void> {
    await this.files.write(`${this.folder(id)}/metrics.json`, JSON.stringify(metrics));
    await this.files.write(`${this.folder(id)}/completions.json`, JSON.stringify(completions));
  }

  async metrics(id: string): Promise<RlMetrics[]> {
    return ((await this.#json(`${this.folder(id)}/metrics.json`)) ?? []) as RlMetrics[];
  }

  async completions(id: string): Promise<RolloutRow[]> {
    return ((await this.#json(`${this.folder(id)}/completions.json`)) ?? []) as RolloutRow[];
  }

  /** The untrained model's scores on a task's held-out problems, once they are known. */
  async base(task: string): Promise<Scores | null> {
    return (await this.#json(`base/${task}.json`)) as Scores | null;
  }

  async saveBase(task: string, scores: Scores): Promise<void> {
    await this.files.write(`base/${task}.json`, JSON.stringify(scores));
  }

  async exportMetrics(id: string): Promise<ExportedMetrics> {
    const run = await this.read(id);
    return { run, base: await this.base(run.task), metrics: await this.metrics(id) };
  }

  async #json(path: string): Promise<unknown> {
    return (await this.files.exists(path)) ? (JSON.parse(await this.files.readText(path)) as unknown) : null;
  }
}
