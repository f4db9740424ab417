import { ConfigError, DeviceLostError, OutOfMemoryError, PithError } from "../../src/errors.ts";
import { LLM } from "../../src/engine/llm.ts";
import type { Model } from "../../src/model/model.ts";
import type { Task } from "../../src/tasks/task.ts";
import { Budgets } from "../../src/train/budget.ts";
import { latestCheckpoint, loadCheckpoint, saveCheckpoint, type TrainerState } from "../../src/train/checkpoint.ts";
import { evaluate } from "../../src/train/evaluate.ts";
import { AdamW } from "../../src/train/optimizer.ts";
import { trainRl, type RlMetrics, type RlOptions } from "../../src/train/rl.ts";
import { rolloutRow, type RolloutRow } from "../../src/train/rollouts.ts";
import type { Device, Loaded } from "./device.ts";
import type { Emit, Phase, Run, Scores, TrainingState } from "./protocol.ts";
import { REASONER } from "./reasoner.ts";
import type { Runs } from "./runs.ts";
import { ADAMW_OPTIONS, DTYPE, EVALUATE_OPTIONS, EVALUATED_PROBLEMS, learningRate, RL_OPTIONS } from "./settings.ts";

/** Failures in a row, without an iteration between them, after which training stops to try. */
const MOST_FAILURES = 3;
/** Tokens per micro-batch below which it is not halved again when memory runs out. */
const LEAST_MICRO_BATCH = 512;
/** Milliseconds between two reports of progress. */
const PROGRESS_INTERVAL = 150;

/** What training holds on the device. */
interface Live {
  loaded: Loaded;
  model: Model;
  optimizer: AdamW;
  state: TrainerState;
  budgets: Budgets;
}

/**
 * One training run at a time: started, paused, resumed, finished, or dropped. A checkpoint is written after each iteration, so
 * that a closed tab and a lost device cost the iteration that was under way, and nothing before it.
 */
export class Training {
  readonly #device: Device;
  readonly #runs: Runs;
  readonly #emit: Emit;
  readonly #task: (name: string) => Task;
  #phase: Phase = "idle";
  #run: Run | null = null;
  #metrics: RlMetrics[] = [];
  #completions: RolloutRow[] = [];
  #progress = { done: 0, total: 0 };
  #live: Live | null = null;
  #options: RlOptions | null = null;
  #abort = new AbortController();
  #loop: Promise<void> = Promise.resolve();
  #tokensPerMicroBatch = RL_OPTIONS.tokensPerMicroBatch;

  /** `task` finds a task by its name; throws a ConfigError where the page does not hold it. */
  constructor(device: Device, runs: Runs, task: (name: string) => Task, emit: Emit) {
    this.#device = device;
    this.#runs = runs;
    this.#task = task;
    this.#emit = emit;
  }

  get state(): TrainingState {
    return { phase: this.#phase, run: this.#run, ...this.#progress };
  }

  get metrics(): RlMetrics[] {
    return this.#metrics;
  }

  get completions(): RolloutRow[] {
    return this.#completions;
  }

  /** The model as it is between two iterations; null before the first run. */
  get model(): Model | null {
    return this.#live && !this.#live.loaded.lost ? this.#live.model : null;
  }

  /** Takes up the newest run that was not finished, as paused. */
  async restore(): Promise<void> {
    const run = (await this.#runs.list()).findLast(({ scores }) => scores === null);
    if (!run) return;
    const path = await latestCheckpoint(this.#runs.files, this.#runs.checkpoints(run.id));
    const step = path === null ? 0 : Number(path.slice(path.lastIndexOf("_") + 1));
    this.#run = { ...run, iteration: step };
    this.#metrics = (await this.#runs.metrics(run.id)).slice(0, step);
    this.#completions = await this.#runs.completions(run.id);
    this.#setPhase("paused");
  }

  async start({
    alpha,
    maxIterations,
    numPrompts,
    task,
  }: Pick<Run, "alpha" | "maxIterations" | "numPrompts" | "task">): Promise<void> {
    if (this.#phase !== "idle") throw new ConfigError("expected no run under way, got one; resume or reset it");
    this.#dispose();
    const created = Date.now();
    this.#run = {
      id: created.toString(36),
      name: "",
      created,
      alpha,
      alphaChanged: false,
      task,
      iteration: 0,
      maxIterations,
      numPrompts,
      seed: 1,
      scores: null,
    };
    this.#metrics = [];
    this.#completions = [];
    await this.#keep(() => this.#runs.save(this.#run!));
    this.#begin();
  }

  resume(): void {
    if (this.#phase === "paused") this.#begin();
  }

  /** Ends the rollouts under way, which are drawn again on resuming; an update is finished first. */
  async pause(): Promise<void> {
    if (!["starting", "running", "evaluating"].includes(this.#phase)) return;
    this.#setPhase("pausing");
    this.#abort.abort();
    await this.#loop;
  }

  /** Back to the untrained model. A run that was not finished is deleted. */
  async reset(): Promise<void> {
    await this.pause();
    await this.#loop;
    if (this.#run && !this.#run.scores) await this.#runs.remove(this.#run.id);
    this.#dispose();
    this.#run = null;
    this.#metrics = [];
    this.#completions = [];
    this.#tokensPerMicroBatch = RL_OPTIONS.tokensPerMicroBatch;
    this.#setPhase("idle");
  }

  /** From the next iteration on. */
  async setAlpha(alpha: number): Promise<void> {
    if (!this.#run || this.#run.scores || this.#run.alpha === alpha) return;
    this.#run = { ...this.#run, alpha, alphaChanged: this.#run.alphaChanged || this.#run.iteration > 0 };
    if (this.#options) this.#options.alpha = { alpha };
    await this.#keep(() => this.#runs.save(this.#run!));
    this.#emitState();
  }

  /** What the page shows of a run that was deleted or renamed elsewhere. */
  async changed(): Promise<void> {
    if (!this.#run) return;
    const kept = (await this.#runs.list()).find(({ id }) => id === this.#run!.id);
    if (kept) this.#run = { ...this.#run, name: kept.name };
    else if (this.#phase === "idle") this.#run = null;
    this.#emitState();
  }

  #begin(): void {
    this.#setPhase("starting");
    this.#loop = this.#train();
  }

  /** Trains to the end of the run, over losses of the device and of memory. Never rejects. */
  async #train(): Promise<void> {
    let failures = 0;
    for (;;) {
      this.#abort = new AbortController();
      const { signal } = this.#abort;
      const before = this.#run!.iteration;
      try {
        await this.#iterate(signal);
        await this.#finish(signal);
        this.#setPhase("idle");
        return;
      } catch (error) {
        const lost = error instanceof DeviceLostError || this.#live?.loaded.lost === true;
        if (signal.aborted && !lost) break;
        failures = this.#run!.iteration > before ? 1 : failures + 1;
        this.#dispose();
        const tries = failures <= MOST_FAILURES && !signal.aborted;
        if (tries && lost) continue; // the device says so itself
        if (tries && error instanceof OutOfMemoryError && this.#tokensPerMicroBatch > LEAST_MICRO_BATCH) {
          this.#tokensPerMicroBatch /= 2;
          this.#emit({ type: "notice", kind: "out-of-memory", detail: error.message });
          continue;
        }
        if (!signal.aborted) this.#emit({ type: "notice", kind: "failed", detail: (error as Error).message });
        break;
      }
    }
    this.#setPhase("paused");
  }

  async #iterate(signal: AbortSignal): Promise<void> {
    if (this.#live?.loaded.lost) this.#dispose();
    this.#live ??= await this.#load(this.#run!.id);
    const { loaded, model, optimizer, state, budgets } = this.#live;
    signal.throwIfAborted();
    const run = this.#run!; // after loading: alpha may have been changed meanwhile
    this.#options = {
      ...RL_OPTIONS,
      alpha: { alpha: run.alpha },
      maxIterations: run.maxIterations,
      numPrompts: run.numPrompts,
      learningRate: learningRate(run.numPrompts),
      seed: run.seed,
      tokensPerMicroBatch: this.#tokensPerMicroBatch,
    };
    const history = this.#metrics.map((row) => ({
      meanLength: row["completions/mean_length"],
      accuracy: row.accuracy,
    }));
    const { base: reference, tokenizer, stopTokenIds } = loaded;
    const iterations = trainRl(
      { model, reference, optimizer, tokenizer, stopTokenIds, task: this.#task(run.task) },
      this.#options,
      {
        history,
        signal,
        onProgress: this.#onProgress,
        budgets,
        onWarning: (detail) => this.#emit({ type: "notice", kind: "out-of-memory", detail }),
      },
    );
    this.#setPhase("running");
    for await (const { metrics, rollouts } of iterations) {
      const completions = rollouts.map(rolloutRow);
      state.step = metrics.iteration;
      state.num_tokens += metrics.num_tokens;
      this.#metrics.push(metrics);
      this.#completions = completions;
      this.#run = { ...this.#run!, iteration: metrics.iteration };
      this.#progress = { done: 0, total: 0 };
      await this.#keep(() => this.#save());
      this.#emit({ type: "iteration", metrics, completions });
      this.#emitState();
      signal.throwIfAborted();
    }
  }

  async #load(id: string): Promise<Live> {
    const loaded = await this.#device.load();
    const path = await latestCheckpoint(this.#runs.files, this.#runs.checkpoints(id));
    let live: Omit<Live, "budgets">;
    if (path !== null) {
      const options = { dtype: DTYPE, optimizer: ADAMW_OPTIONS } as const;
      live = { loaded, ...(await loadCheckpoint(loaded.gpu, this.#runs.files, path, options)) };
    } else {
      const model = await loaded.base.clone();
      live = {
        loaded,
        model,
        optimizer: await AdamW.create(model, ADAMW_OPTIONS),
        state: { step: 0, num_tokens: 0 },
      };
    }
    this.#metrics = this.#metrics.slice(0, live.state.step);
    this.#run = { ...this.#run!, iteration: live.state.step };
    return { ...live, budgets: new Budgets(live.state.budgets) };
  }

  async #save(): Promise<void> {
    const run = this.#run!;
    const { files } = this.#runs;
    await this.#runs.saveProgress(run.id, this.#metrics, this.#completions);
    const dir = this.#runs.checkpoints(run.id);
    const { model, optimizer, budgets } = this.#live!;
    const state = { ...this.#live!.state, budgets: budgets.state };
    const path = await saveCheckpoint(files, dir, { model, optimizer, state, source: REASONER });
    await this.#runs.save(run);
    for (const name of await files.list(dir)) if (`${dir}/${name}` !== path) await files.remove(`${dir}/${name}`);
  }

  /** Scores the trained model, and the untrained one if that was not done before, and keeps the run as finished. */
  async #finish(signal: AbortSignal): Promise<void> {
    const { model, loaded } = this.#live!;
    this.#setPhase("evaluating");
    const run = this.#run!;
    const base = (await this.#runs.base(run.task)) ?? (await this.#score(loaded.base, signal));
    await this.#keep(() => this.#runs.saveBase(run.task, base));
    const scores = await this.#score(model, signal);
    this.#run = { ...this.#run!, scores };
    await this.#keep(async () => {
      await model.save(this.#runs.files, this.#runs.model(run.id), REASONER);
      await this.#runs.save(this.#run!);
      await this.#runs.files.remove(this.#runs.checkpoints(run.id));
    });
    this.#emit({ type: "runs", runs: await this.#runs.list(), base });
  }

  async #score(model: Model, signal: AbortSignal): Promise<Scores> {
    const { tokenizer, stopTokenIds } = this.#live!.loaded;
    const task = this.#task(this.#run!.task);
    const llm = new LLM(model, RL_OPTIONS.engine);
    try {
      const problems = task.test.slice(0, EVALUATED_PROBLEMS);
      const {
        by_difficulty: _d,
        completions: _c,
        ...scores
      } = await evaluate(llm, tokenizer, task, problems, EVALUATE_OPTIONS, {
        stopTokenIds,
        signal,
        onProgress: this.#onProgress,
      });
      return scores;
    } finally {
      llm.dispose();
    }
  }

  /** What cannot be kept is said, and training goes on in memory. */
  async #keep(save: () => Promise<void>): Promise<void> {
    try {
      await save();
    } catch (error) {
      if (!(error instanceof PithError) || error instanceof DeviceLostError) throw error;
      if (error.cause instanceof DeviceLostError) throw error.cause;
      this.#emit({ type: "notice", kind: "not-saved", detail: error.message });
    }
  }

  #reported = 0;
  readonly #onProgress = (done: number, total: number): void => {
    this.#progress = { done, total };
    if (done < total && performance.now() - this.#reported < PROGRESS_INTERVAL) return;
    this.#reported = performance.now();
    this.#emitState();
  };

  #setPhase(phase: Phase): void {
    // A pause that was asked for is shown until it is there.
    if (this.#phase === "pausing" && (phase === "running" || phase === "evaluating")) return;
    this.#phase = phase;
    this.#progress = { done: 0, total: 0 };
    this.#emitState();
  }

  #emitState(): void {
    this.#emit({ type: "training", training: this.state });
  }

  #dispose(): void {
    const live = this.#live;
    this.#live = null;
    this.#options = null;
    if (!live || live.loaded.lost) return;
    live.optimizer.dispose();
    live.model.dispose();
  }
}
