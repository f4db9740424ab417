import type { Gpu } from "../gpu/gpu.ts";
import type { Model } from "../model/model.ts";
import type { RunFolder } from "../run/run-folder.ts";
import type { Files } from "../runtime/types.ts";
import type { DrawnOutput } from "./drawn.ts";
import { Budgets } from "./budget.ts";
import { latestCheckpoint, loadCheckpoint, pruneCheckpoints, saveCheckpoint, type TrainerState } from "./checkpoint.ts";
import { AdamW } from "./optimizer.ts";
import { adamwOptions } from "./options.ts";
import { runModels } from "./run-models.ts";

/** A training run where it stands: at its newest checkpoint, or at its beginning. */
export interface Progress {
  model: Model;
  optimizer: AdamW;
  state: TrainerState;
  budgets: Budgets;
  /** What the next step had drawn from earlier weights; null where it had not. */
  ahead: DrawnOutput[] | null;
  /** Whether there was a checkpoint. */
  resumed: boolean;
  /** Writes a checkpoint of the state as it is, and of what the next step has drawn; its path. */
  save(ahead?: readonly DrawnOutput[] | null): Promise<string>;
  /** Leaves the `limit` newest checkpoints, and the one of step `best`. */
  prune(limit: number, best?: number): Promise<void>;
}

/**
 * Opens the folder's newest checkpoint and cuts its logs back to it; without one the run begins: with `begin`'s model where it is given.
 * `loaded` is the model of `modelDir` where the device has it already; it stays the caller's.
 */
export async function resume(
  gpu: Gpu,
  files: Files,
  folder: RunFolder,
  modelDir: string,
  note: (line: string) => void,
  { begin, loaded }: { begin?: (() => Promise<Model>) | undefined; loaded?: Model } = {},
): Promise<Progress> {
  const options = adamwOptions(folder.config);
  const models = await runModels(gpu, files, folder.config, modelDir, loaded);
  const path = await latestCheckpoint(files, folder.checkpoints);
  const fresh = async () => {
    const model = await (begin ?? models.begin)();
    const state: TrainerState = { step: 0, num_tokens: 0 };
    return { model, optimizer: await AdamW.create(model, options), state, ahead: null };
  };
  const { model, optimizer, state, ahead } = path
    ? await loadCheckpoint(gpu, files, path, {
        dtype: folder.config.model.dtype,
        optimizer: options,
        base: models.base,
      })
    : await fresh();
  const missing = await folder.cutBack(state.step);
  if (missing > 0)
    note(`${folder.dir}/metrics.jsonl lacks ${missing} of the ${state.step} steps done; goes on without them`);
  await folder.writeEvents(); // a process that was killed after a checkpoint may not have
  const budgets = new Budgets(state.budgets);
  const save = (next?: readonly DrawnOutput[] | null) =>
    saveCheckpoint(files, folder.checkpoints, {
      model,
      optimizer,
      state: { ...state, budgets: budgets.state },
      ahead: next,
      source: modelDir,
    });
  const prune = (limit: number, best?: number) => pruneCheckpoints(files, folder.checkpoints, limit, best);
  return { model, optimizer, state, budgets, ahead, resumed: path !== null, save, prune };
}
