import { ConfigError, DeviceLostError, OutOfMemoryError } from "../../src/errors.ts";
import { LLM } from "../../src/engine/llm.ts";
import type { Model } from "../../src/model/model.ts";
import { RunFolder } from "../../src/run/run-folder.ts";
import type { Task } from "../../src/tasks/task.ts";
import { latestCheckpoint } from "../../src/train/checkpoint.ts";
import { evaluate } from "../../src/train/evaluate.ts";
import { keepSteps } from "../../src/train/keep.ts";
import { engineOptions, evaluateOptions, rlOptions } from "../../src/train/options.ts";
import { resume, type Progress } from "../../src/train/resume.ts";
import { trainRl, type RlIteration } from "../../src/train/rl.ts";
import type { RlOptions } from "../../src/train/rl-options.ts";
import { rolloutRecord, rolloutRow } from "../../src/train/rollouts.ts";
import { askedOf, goldOf, streamAnswer } from "./answers.ts";
import type { Asking } from "./asking.ts";
import type { Device, Opened } from "./device.ts";
import { saveTrained, type Loaded, type Trainee } from "./models.ts";
import type { Emit, Frame, Phase, Run, RunChoice, RunView, Scores, TrainingState } from "./protocol.ts";
import { drawnOf } from "./records.ts";
import type { Runs } from "./runs.ts";
import { Sampling } from "./sampling.ts";
import { runConfig } from "./settings.ts";

/** Failures in a row, without an iteration between them, after which training stops to try. */
const MOST_FAILURES = 3;
/** Milliseconds between two reports of progress. */
const PROGRESS_INTERVAL = 150;

/** Of a run, or of a sweep of them. */
type Choice = RunChoice & { task: string; model: Trainee };

/** What training holds on the device. */
interface Live {
  opened: Opened;
  /** What the run began with. */
  loaded: Loaded;
  task: Task;
  folder: RunFolder;
  progress: Progress;
  options: RlOptions;
}

/**
 * One training run at a time: started, paused, resumed, finished, or dropped. A checkpoint is written after each iteration, so
 * that a closed tab and a lost device cost the iteration that was under way, and nothing before it.
 */
export class Training {
  readonly #device: Device;
  readonly #runs: Runs;
  readonly #emit: Emit;
  readonly #task: (name: string, asking: Asking) => Task;
  #phase: Phase = "idle";
  #run: Run | null = null;
  #progress = { done: 0, total: 0 };
  #queue: Choice | null = null;
  #live: Live | null = null;
  #abort = new AbortController();
  #loop: Promise<void> = Promise.resolve();

  /** `task` finds a task by its name, for a model; throws a ConfigError where the page does not hold it. */
  constructor(device: Device, runs: Runs, task: (name: string, asking: Asking) => Task, emit: Emit) {
    this.#device = device;
    this.#runs = runs;
    this.#task = task;
    this.#emit = emit;
  }

  get state(): TrainingState {
    return { phase: this.#phase, run: this.#run, ...this.#progress, queue: this.#queue?.alphas ?? [] };
  }

  /** What is to be drawn of the run, which its folder keeps. */
  async view(): Promise<RunView> {
    const run = this.#run;
    return run ? this.#runs.view(run.id, run.iteration) : { metrics: [], completions: [], frames: [] };
  }

  /** The model as it is between two iterations, and the one that the run began with; null before the first run. */
  get current(): { loaded: Loaded; model: Model } | null {
    const live = this.#live;
    return live && !live.opened.lost ? { loaded: live.loaded, model: live.progress.model } : null;
  }

  /** Takes up the newest run that was not finished, as paused. */
  async restore(): Promise<void> {
    const run = (await this.#runs.list()).findLast(({ scores }) => scores === null);
    if (!run) return;
    const path = await latestCheckpoint(this.#runs.files, `${this.#runs.folder(run.id)}/checkpoints`);
    const step = path === null ? 0 : Number(path.slice(path.lastIndexOf("_") + 1));
    this.#run = { ...run, iteration: step };
    this.#setPhase("paused");
  }

  /** Trains at the first alpha, and then at those after it. */
  async start(choice: Choice): Promise<void> {
    if (this.#phase !== "idle") throw new ConfigError("expected no run under way, got one; resume or reset it");
    this.#dispose();
    const [alpha, ...later] = choice.alphas;
    const { maxIterations, numPrompts, pinned, task, model } = choice;
    const created = Date.now();
    const run: Run = {
      id: created.toString(36),
      name: "",
      created,
      alpha: alpha!,
      alphaChanged: false,
      model: model.name,
      task,
      pinned,
      iteration: 0,
      maxIterations,
      numPrompts,
      scores: null,
    };
    const folder = this.#runs.folder(run.id);
    await RunFolder.open(this.#runs.files, runConfig(run, model, folder), "train", () => {});
    await this.#runs.save(run);
    this.#run = run;
    this.#queue = later.length > 0 ? { ...choice, alphas: later } : null;
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
    do {
      this.#queue = null;
      await this.pause();
      await this.#loop; // which may have begun the next run of a sweep meanwhile
    } while (this.#phase !== "idle" && this.#phase !== "paused");
    if (this.#run && !this.#run.scores) await this.#runs.remove(this.#run.id);
    this.#dispose();
    this.#run = null;
    this.#setPhase("idle");
  }

  /** From the next iteration on. */
  async setAlpha(alpha: number): Promise<void> {
    if (!this.#run || this.#run.scores || this.#run.alpha === alpha) return;
    this.#run = { ...this.#run, alpha, alphaChanged: this.#run.alphaChanged || this.#run.iteration > 0 };
    if (this.#live) this.#live.options.alpha = { alpha };
    await this.#runs.save(this.#run);
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

  /** Trains to the end of the run, and then the next of a sweep, over losses of the device and of memory. Never rejects. */
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
        if (this.#queue) await this.start(this.#queue);
        return;
      } catch (error) {
        const lost = error instanceof DeviceLostError || this.#live?.opened.lost === true;
        if (signal.aborted && !lost) break;
        failures = this.#run!.iteration > before ? 1 : failures + 1;
        this.#dispose();
        const tries = failures <= MOST_FAILURES && !signal.aborted;
        if (tries && lost) continue; // the device says so itself
        if (!signal.aborted) {
          const kind = error instanceof OutOfMemoryError ? "out-of-memory" : "failed";
          this.#emit({ type: "notice", kind, detail: (error as Error).message });
          if (tries && kind === "out-of-memory") continue;
        }
        break;
      }
    }
    this.#setPhase("paused");
  }

  async #iterate(signal: AbortSignal): Promise<void> {
    if (this.#live?.opened.lost) this.#dispose();
    this.#live ??= await this.#load(this.#run!);
    const { loaded, task, folder, progress, options } = this.#live;
    options.alpha = { alpha: this.#run!.alpha }; // it may have been changed while this was loading
    const { model, optimizer, state, budgets } = progress;
    const { base: reference, tokenizer, stopTokenIds } = loaded;
    const { metrics: history, frames } = await this.#runs.view(this.#run!.id, state.step);
    // The untrained model's answer, or one that a pause cut off.
    if (frames.at(-1)?.step !== state.step) await this.#answerPinned(state.step, signal);
    const sampling = new Sampling(tokenizer, (responses) => this.#emit({ type: "sampled", responses }));
    const iterations = trainRl({ model, reference, optimizer, tokenizer, stopTokenIds, task }, options, {
      history: history.map((row) => ({
        meanLength: row["completions/mean_length"],
        accuracy: row.accuracy,
      })),
      done: state.step,
      sampled: state.num_sampled_tokens ?? 0,
      signal,
      onProgress: (done, of) => {
        this.#onProgress(done, of);
        if (done === of) sampling.end();
      },
      onTokens: sampling.onTokens,
      budgets,
      onWarning: (detail) => this.#emit({ type: "notice", kind: "out-of-memory", detail }),
    });
    const record = ({ metrics: { iteration, ...metrics }, rollouts, isLast }: RlIteration) => ({
      step: iteration,
      metrics,
      completions: rollouts.map(rolloutRecord),
      isLast,
    });
    this.#setPhase("running");
    for await (const { metrics, rollouts } of keepSteps(iterations, record, progress, folder, { signal })) {
      const completions = rollouts.map(rolloutRow);
      const drawn = drawnOf(metrics);
      this.#run = { ...this.#run!, iteration: metrics.iteration };
      this.#progress = { done: 0, total: 0 };
      await this.#runs.save(this.#run);
      this.#emit({ type: "iteration", metrics: drawn, completions });
      this.#emitState();
      await this.#answerPinned(metrics.iteration, signal);
    }
    signal.throwIfAborted();
  }

  async #load(run: Run): Promise<Live> {
    const { files } = this.#runs;
    const opened = await this.#device.load();
    const folder = await this.#runs.open(run.id);
    const { path } = folder.config.model;
    const loaded = await this.#device.model(path);
    const note = (detail: string) => this.#emit({ type: "notice", kind: "unreadable", detail });
    try {
      const task = this.#task(run.task, loaded.asking);
      const progress = await resume(opened.gpu, files, folder, path, note, { loaded: loaded.base });
      this.#run = { ...this.#run!, iteration: progress.state.step };
      return { opened, loaded, task, folder, progress, options: rlOptions(folder.config) };
    } catch (error) {
      if (loaded !== opened) loaded.base.dispose();
      throw error;
    }
  }

  /** What the model says to the pinned problem after an iteration. */
  async #answerPinned(step: number, signal: AbortSignal): Promise<void> {
    const { loaded, folder, progress } = this.#live!;
    const { pinned } = this.#run!;
    const { tokenizer, stopTokenIds, asking } = loaded;
    const promptTokenIds = askedOf(asking, pinned, tokenizer);
    const request = { promptTokenIds, stopTokenIds, gold: goldOf(pinned) };
    const answer = await streamAnswer(progress.model, tokenizer, request, () => {}, signal);
    const frame: Frame = { step, pieces: answer.pieces, correct: answer.correct };
    await this.#runs.addFrame(folder, frame);
    this.#emit({ type: "frame", frame });
  }

  /** Scores the trained model, and the untrained one if that was not done before, and keeps the run as finished. */
  async #finish(signal: AbortSignal): Promise<void> {
    const { progress, loaded, folder } = this.#live!;
    const { files } = this.#runs;
    const { path } = folder.config.model;
    this.#setPhase("evaluating");
    const run = this.#run!;
    const base = (await this.#runs.base(path, run.task)) ?? (await this.#score(loaded.base, signal));
    await this.#runs.saveBase(path, run.task, base);
    const scores = await this.#score(progress.model, signal);
    await saveTrained(progress.model, files, this.#runs.model(run.id), { name: run.model, source: path });
    this.#run = { ...this.#run!, scores };
    await this.#runs.save(this.#run);
    await files.remove(folder.checkpoints);
    this.#emit({ type: "runs", runs: await this.#runs.list(), base });
  }

  async #score(model: Model, signal: AbortSignal): Promise<Scores> {
    const { loaded, folder, task } = this.#live!;
    const { tokenizer, stopTokenIds } = loaded;
    const llm = new LLM(model, engineOptions(folder.config));
    try {
      const problems = task.test.slice(0, folder.config.eval.num_problems);
      const host = { stopTokenIds, signal, onProgress: this.#onProgress };
      const evaluation = await evaluate(llm, tokenizer, task, problems, evaluateOptions(folder.config), host);
      const { completions: _, ...scores } = evaluation;
      return scores;
    } finally {
      llm.dispose();
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
    if (!live || live.opened.lost) return;
    live.progress.optimizer.dispose();
    live.progress.model.dispose();
    if (live.loaded !== live.opened) live.loaded.base.dispose();
  }
}
