import type { Scored } from "../core/best.ts";
import { FormatError, PithError } from "../errors.ts";
import type { Gpu } from "../gpu/gpu.ts";
import { LoraModel } from "../model/lora.ts";
import { Model, type ModelDType } from "../model/model.ts";
import type { Files } from "../runtime/types.ts";
import type { DrawnOutput } from "./drawn.ts";
import { readAhead, writeAhead } from "./ahead.ts";
import type { Budgets, BudgetState } from "./budget.ts";
import { AdamW, type AdamWOptions } from "./optimizer.ts";
import type { Records } from "./rewards.ts";

/**
 * Where training stands, beside weights and optimizer. Everything else (prompts, random numbers, learning rate) is a function
 * of the configuration and of this.
 */
export interface TrainerState {
  /** RL iterations or SFT steps done. */
  step: number;
  /** Tokens trained on so far, prompts included. */
  num_tokens: number;
  /** Response tokens sampled so far; of reinforcement learning alone. */
  num_sampled_tokens?: number;
  /** What the initial model came to on the held-out problems, where the run evaluates. */
  base?: Scored;
  /** Tokens of the shortest correct response to each problem so far, where the length reward goes by them. */
  records?: Records;
  /** What went to the device at once, where memory had run out. */
  budgets?: Budgets["state"];
}

const OPTIMIZER = "optimizer.safetensors";
const STATE = "trainer_state.json";
const AHEAD = "next_rollouts.jsonl";
const NAME = /^step_(\d{6,})$/;
/** Prefix of a checkpoint that is being written; one that is found later was never finished. */
const UNFINISHED = ".unfinished_";

const checkpointName = (step: number): string => `step_${String(step).padStart(6, "0")}`;

export const checkpointPath = (dir: string, step: number): string => `${dir}/${checkpointName(step)}`;

/**
 * Writes `dir`/step_000010: a Hugging Face folder, or an adapter's, with the optimizer's state in it. It is written aside and
 * renamed, so that whatever happens at whatever moment, a folder of that name is whole. Tokenizer files are copied from `source`;
 * `ahead` is what the next step has drawn from earlier weights.
 *
 * @returns the checkpoint's path
 */
export async function saveCheckpoint(
  files: Files,
  dir: string,
  {
    model,
    optimizer,
    state,
    ahead = null,
    source,
  }: {
    model: Model;
    optimizer: AdamW;
    state: TrainerState;
    ahead?: readonly DrawnOutput[] | null;
    source?: string;
  },
): Promise<string> {
  const name = checkpointName(state.step);
  const path = checkpointPath(dir, state.step);
  if (await files.exists(path)) return path; // the same step of the same run: the same state
  const aside = `${dir}/${UNFINISHED}${name}`;
  try {
    await files.mkdir(dir);
    await removeUnfinished(files, dir);
    await model.save(files, aside, source);
    await optimizer.save(files, `${aside}/${OPTIMIZER}`);
    await files.write(`${aside}/${STATE}`, `${JSON.stringify(inOrder(state))}\n`);
    if (ahead) await writeAhead(files, `${aside}/${AHEAD}`, ahead);
    await files.rename(aside, path);
  } catch (error) {
    await files.remove(aside).catch(() => {}); // the disk may be what failed: the error below says what happened
    if (!(error instanceof PithError)) throw error;
    const last = await latestCheckpoint(files, dir).catch(() => null);
    throw new PithError(
      `no checkpoint of step ${state.step}: ${error.message}; ${last ? `the last good one is ${last}` : "there is no earlier one"}`,
      {
        cause: error,
      },
    );
  }
  return path;
}

/** The finished checkpoints in `dir`, those of fewer steps first. */
export async function checkpointSteps(files: Files, dir: string): Promise<{ step: number; path: string }[]> {
  if (!(await files.exists(dir))) return [];
  const names = (await files.list(dir)).filter((name) => NAME.test(name));
  return names
    .map((name) => ({ step: Number(NAME.exec(name)![1]), path: `${dir}/${name}` }))
    .sort((a, b) => a.step - b.step);
}

/** Removes all but the `limit` newest checkpoints and the one of step `best`, and what a process that was killed left half written or half removed. */
export async function pruneCheckpoints(files: Files, dir: string, limit: number, best?: number): Promise<void> {
  if (!(await files.exists(dir))) return;
  await removeUnfinished(files, dir);
  for (const { path, step } of (await checkpointSteps(files, dir)).slice(0, -limit)) {
    if (step === best) continue;
    const aside = `${dir}/${UNFINISHED}${checkpointName(step)}`;
    await files.rename(path, aside);
    await files.remove(aside);
  }
}

/** The path of the checkpoint of the most steps in `dir`, null if there is none. */
export async function latestCheckpoint(files: Files, dir: string): Promise<string | null> {
  return (await checkpointSteps(files, dir)).at(-1)?.path ?? null;
}

/** Model, optimizer and state exactly as they were saved. The model is an adapter over `base` where that is given. */
export async function loadCheckpoint(
  gpu: Gpu,
  files: Files,
  path: string,
  { dtype, optimizer: options, base }: { dtype: ModelDType; optimizer: AdamWOptions; base?: Model | null },
): Promise<{ model: Model; optimizer: AdamW; state: TrainerState; ahead: DrawnOutput[] | null }> {
  const state = await readState(files, `${path}/${STATE}`);
  const ahead = (await files.exists(`${path}/${AHEAD}`)) ? await readAhead(files, `${path}/${AHEAD}`) : null;
  const model = base ? await LoraModel.loadAdapter(base, files, path) : await Model.load(gpu, files, path, { dtype });
  const optimizer = await AdamW.create(model, options);
  await optimizer.load(files, `${path}/${OPTIMIZER}`);
  return { model, optimizer, state, ahead };
}

async function readState(files: Files, path: string): Promise<TrainerState> {
  let state: Partial<TrainerState> | null = null;
  const text = await files.readText(path);
  try {
    state = JSON.parse(text) as Partial<TrainerState> | null;
  } catch {
    // reported below, with what was found
  }
  const { step, num_tokens, num_sampled_tokens: sampled, base, records, budgets } = state ?? {};
  const areBudgets = Object.values(budgets ?? {}).every((budget) => budget === null || isBudget(budget));
  if (
    !Number.isSafeInteger(step) ||
    !Number.isSafeInteger(num_tokens) ||
    !Number.isSafeInteger(sampled ?? 0) ||
    !areBudgets ||
    !areRecords(records ?? {}) ||
    !isScored(base)
  ) {
    throw new FormatError(
      `${path}: expected a JSON object with whole numbers step and num_tokens, got ${text.slice(0, 100)}; resume from another checkpoint`,
    );
  }
  return inOrder(state as TrainerState);
}

/** A state of known fields in their order here, whenever each was set: a run that was resumed writes the bytes of one that was not. */
const inOrder = ({ step, num_tokens, num_sampled_tokens, base, records, budgets }: TrainerState): TrainerState => ({
  step,
  num_tokens,
  ...(num_sampled_tokens !== undefined && { num_sampled_tokens }),
  ...(base && { base }),
  ...(records && { records }),
  ...(budgets && { budgets }),
});

const isScored = (base: Scored | undefined): boolean =>
  base === undefined || [base.accuracy, base.mean_length].every(Number.isFinite);

const areRecords = (records: Records): boolean =>
  Object.values(records).every((tokens) => Number.isSafeInteger(tokens) && tokens > 0);

const isBudget = ({ size, patience, left }: BudgetState): boolean =>
  [size, patience, left].every((n) => Number.isSafeInteger(n) && n > 0);

async function removeUnfinished(files: Files, dir: string): Promise<void> {
  for (const name of await files.list(dir)) if (name.startsWith(UNFINISHED)) await files.remove(`${dir}/${name}`);
}
