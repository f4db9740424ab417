import type { Remote } from "comlink";
import { GpuUnavailableError, PithError } from "../../src/errors.ts";
import { tuningKey } from "../../src/kernels/tuning-key.ts";
import { loadTokenizer, type Tokenizer } from "../../src/hf/tokenizer.ts";
import type { Model } from "../../src/model/model.ts";
import { renderPrompt } from "../../src/tasks/prompt.ts";
import { opfsTuning } from "../../src/runtime/tuning-opfs.ts";
import { saveTuning } from "../../src/runtime/tuning.ts";
import type { Measured, Operation } from "../matrices.ts";
import { OpfsFiles } from "../../src/runtime/files-opfs.ts";
import { BlobFiles } from "../storage/blob-files.ts";
import { OverflowFiles, type Disk } from "../storage/overflow-files.ts";
import { packFolder, unpackFolder } from "./archive.ts";
import type { Check } from "../../src/verify/check.ts";
import { askedOf, goldOf, streamAnswer } from "./answers.ts";
import { adapterName, Device } from "./device.ts";
import { downloadModel } from "./hub.ts";
import { droppedFolder, OwnModel, type OnProgress } from "./own.ts";
import { Problems } from "./problems.ts";
import type {
  Answer,
  EngineEvent,
  OnPieces,
  OwnModelInfo,
  Run,
  RunChoice,
  RunView,
  Side,
  Snapshot,
  TaskInfo,
  TrainedChoice,
} from "./protocol.ts";
import { SUMS } from "./asking.ts";
import { BUNDLED, loadTrained, type Trainee } from "./models.ts";
import { fetchReasoner, REASONER } from "./reasoner.ts";
import { BROUGHT, Runs } from "./runs.ts";
import { Training } from "./training.ts";

/** The name of the lock that the tab with the store holds. */
const LOCK = "pith";
/** Milliseconds that a reloaded page waits for the worker before it to let go. */
const LOCK_PATIENCE = 4000;

interface Parts {
  /** Where models of the hub go; runs and problems are kept in memory where it is full. */
  disk: Disk;
  files: Disk;
  device: Device;
  runs: Runs;
  problems: Problems;
  training: Training;
}

/** The worker's side of the page: everything that computes or keeps runs here, so the page never blocks. */
export class Engine {
  #parts: Parts | null = null;
  #emit: (event: EngineEvent) => void = () => {};
  #answering = new AbortController();
  readonly #own = new OwnModel();
  /** What the next run begins with, and its tokenizer. */
  #trainee: Trainee = BUNDLED;
  #tokenizer: Tokenizer | null = null;

  /** Opens the store and what it holds of earlier visits. Resolves whether or not there is a GPU. */
  async open(onEvent: (event: EngineEvent) => void): Promise<Snapshot & RunView> {
    this.#emit = onEvent;
    const alone = await holdLock();
    if (!alone) this.#notice("other-tab");
    const kept = alone ? await OpfsFiles.open("pith") : null;
    if (!kept && alone) this.#notice("no-storage");
    const disk = kept ?? new BlobFiles();
    const files = new OverflowFiles(disk, (detail) => this.#notice("not-saved", detail));
    const onUnreadable = (detail: string) => this.#notice("unreadable", detail);
    const runs = new Runs(files, onUnreadable);
    const problems = new Problems(files);
    await problems.restore(onUnreadable);
    const device = new Device(files, (reason) => void this.#recover(reason));
    const training = new Training(
      device,
      runs,
      (name, asking) => problems.task(name, asking),
      (event) => this.#emit(event),
    );
    this.#parts = { disk, files, device, runs, problems, training };
    await fetchReasoner(files);
    this.#tokenizer = await loadTokenizer(files, REASONER);
    await runs.removeUnused();
    await training.restore();
    return { ...(await training.view()), ...(await this.snapshot()) };
  }

  /** Opens the device; the adapter's name, or null (and a notice) where there is none. */
  async openDevice(): Promise<string | null> {
    try {
      return adapterName((await this.#the.device.load()).gpu);
    } catch (error) {
      this.#notice(error instanceof GpuUnavailableError ? "no-webgpu" : "failed", (error as Error).message);
      return null;
    }
  }

  async snapshot(): Promise<Snapshot> {
    const { training, runs } = this.#the;
    const [list, base] = [await runs.list(), await this.#base()];
    return {
      training: training.state,
      runs: list,
      base,
      task: this.#task,
      model: { name: this.#trainee.name, own: this.#trainee !== BUNDLED },
    };
  }

  async start(choice: RunChoice): Promise<void> {
    const { training, problems } = this.#the;
    await training.start({ ...choice, task: problems.current.name, model: this.#trainee });
    await this.#emitRuns();
  }
  pause = (): Promise<void> => this.#the.training.pause();
  resume = (): void => this.#the.training.resume();
  setAlpha = (alpha: number): Promise<void> => this.#the.training.setAlpha(alpha);
  async reset(): Promise<void> {
    this.#answering.abort(); // it may be of the model that goes
    await this.#the.training.reset();
    await this.#emitRuns();
  }

  async renameRun(id: string, name: string): Promise<void> {
    await this.#the.runs.rename(id, name);
    await this.#the.training.changed();
    await this.#emitRuns();
  }

  async deleteRun(id: string): Promise<void> {
    await this.#the.runs.remove(id);
    await this.#the.training.changed();
    await this.#emitRuns();
  }

  /** What is to be drawn of a kept run. */
  async viewRun(id: string): Promise<RunView> {
    const { runs } = this.#the;
    return runs.view(id, (await runs.read(id)).iteration);
  }

  /** A run's folder as one file. */
  exportRun = (id: string): Promise<Blob> => packFolder(this.#the.files, this.#the.runs.folder(id));

  /** Keeps a run that was exported here or elsewhere; its id. */
  async importRun(file: File): Promise<string> {
    const { runs } = this.#the;
    const run = await runs.add(file.name, await unpackFolder(file.name, file));
    await this.#emitRuns();
    return run.id;
  }

  /** Problems that no model was trained on. */
  pickProblems(count: number): string[] {
    const { test } = this.#the.problems.current;
    return Array.from({ length: count }, () => test[Math.floor(Math.random() * test.length)]!.prompt);
  }

  /**
   * Both models answer the same problem at the same time; the base model alone where there is no trained one. An answer that is
   * under way is given up.
   */
  async answer(
    problem: string,
    choice: TrainedChoice | null,
    onPieces: OnPieces,
  ): Promise<{ base: Answer; trained: Answer | null }> {
    this.#answering.abort();
    const { signal } = (this.#answering = new AbortController());
    const { device, training, runs, files } = this.#the;
    const live = choice === "current" ? training.current : null;
    if (choice === "current" && !live) throw new PithError("expected a trained model, got none; train one first");
    const path = choice === null || live ? REASONER : await runs.modelOf(choice);
    const { base, tokenizer, stopTokenIds, asking } = live?.loaded ?? (await device.model(path));
    const promptTokenIds = askedOf(asking, problem, tokenizer);
    const request = { promptTokenIds, stopTokenIds, gold: goldOf(problem) };
    const side = (name: Side, model: Model, until: AbortSignal) =>
      streamAnswer(model, tokenizer, request, (pieces) => onPieces(name, pieces), until);
    let trained: Model | null = null;
    try {
      if (choice === null) return { base: await side("base", base, signal), trained: null };
      // A copy: training may change the weights while this answers.
      trained = live ? await live.model.clone() : await loadTrained(base, files, runs.model(choice));
      const [a, b] = await together(signal, (until) => [side("base", base, until), side("trained", trained!, until)]);
      return { base: a!, trained: b! };
    } finally {
      trained?.dispose();
      if (path !== REASONER) base.dispose();
    }
  }

  /** A model's folder, or that of an adapter over the one that was loaded before. */
  async loadFolder(name: string, dropped: File[], onProgress: OnProgress): Promise<OwnModelInfo> {
    const { isAdapter, ...folder } = droppedFolder(dropped);
    const { disk, device } = this.#the;
    const { gpu } = await device.load();
    return isAdapter
      ? this.#own.loadAdapter(gpu, folder, name, { files: disk, dir: REASONER })
      : this.#own.load(gpu, folder, name, onProgress);
  }

  async loadFromHub(id: string, onProgress: OnProgress): Promise<OwnModelInfo> {
    const { disk, device } = this.#the;
    const { gpu } = await device.load();
    const dir = await downloadModel(disk, gpu, id, { room }, onProgress);
    return this.#own.load(gpu, { files: disk, dir }, id, onProgress);
  }

  async generate(prompt: string, onPieces: (pieces: string[]) => void): Promise<Answer> {
    this.#answering.abort();
    const { signal } = (this.#answering = new AbortController());
    const { gpu } = await this.#the.device.load();
    return this.#own.generate(gpu, prompt, onPieces, signal);
  }

  /** The next run begins with the model that was brought. */
  async trainOwn(onProgress: OnProgress): Promise<void> {
    const { disk, problems } = this.#the;
    const dir = `${BROUGHT}/${Date.now().toString(36)}`;
    const { trainee, asking } = await this.#own.train(disk, dir, room, onProgress);
    const tokenizer = await loadTokenizer(disk, trainee.dir);
    problems.askBy(asking);
    this.#trainee = trainee;
    this.#tokenizer = tokenizer;
  }

  /** The next run begins with the bundled model. */
  async trainBundled(): Promise<void> {
    const { disk, problems } = this.#the;
    this.#tokenizer = await loadTokenizer(disk, REASONER);
    problems.askBy(SUMS);
    this.#trainee = BUNDLED;
  }

  stopGenerating = (): void => this.#answering.abort();

  /** Pith's side of the benchmark. */
  async measure(operation: Operation, size: number): Promise<Measured> {
    const { measureKernel } = await import("./benchmark.ts");
    return measureKernel((await this.#the.device.load()).gpu, operation, size);
  }

  /** Measures tiles for the bundled model where the adapter has a choice and none were measured; they are kept in this browser. */
  async tune(): Promise<void> {
    const { gpu, base } = await this.#the.device.load();
    if (gpu.tuning || !(await tuningKey(gpu))) return;
    const [{ Stopwatch }, { tune }] = await Promise.all([
      import("../../src/measure/stopwatch.ts"),
      import("../../src/measure/tuner.ts"),
    ]);
    await tune(new Stopwatch(gpu), base.config, () => {});
    await saveTuning(gpu, opfsTuning).catch(() => {}); // a private window keeps nothing; until it is closed they hold
  }

  /** Every kernel against its float64 twin. */
  async selfTest(onResult: (result: Check) => void): Promise<void> {
    const { selfTest } = await import("../../src/verify/self-test/self-test.ts");
    for await (const result of selfTest((await this.#the.device.load()).gpu)) onResult(result);
  }

  async addProblems(file: File): Promise<void> {
    await this.#the.problems.add(file.name, file);
  }

  async chooseProblems(name: string): Promise<void> {
    await this.#the.problems.choose(name);
  }

  /** The chosen problems, and what the model reads of the first. */
  get #task(): TaskInfo {
    const { problems } = this.#the;
    const task = problems.current;
    const tokenizer = this.#tokenizer!;
    const { promptTokenIds } = renderPrompt(task, task.train[0]!, tokenizer);
    return {
      ...problems.info,
      pieces: promptTokenIds.map((id) => tokenizer.decode([id], { skipSpecialTokens: false })),
    };
  }

  #base = () => this.#the.runs.base(this.#trainee.dir, this.#the.problems.current.name);

  get #the(): Parts {
    if (!this.#parts) throw new PithError("the page is not open yet");
    return this.#parts;
  }

  /** A lost device is opened again at once, whether training needs it or not. */
  async #recover(reason: string): Promise<void> {
    this.#notice("device-lost", reason);
    this.#own.forget();
    try {
      const { gpu } = await this.#the.device.load();
      this.#notice("device-back", adapterName(gpu));
    } catch (error) {
      this.#notice("no-webgpu", (error as Error).message);
    }
  }

  async #emitRuns(): Promise<void> {
    const runs: Run[] = await this.#the.runs.list();
    this.#emit({ type: "runs", runs, base: await this.#base() });
  }

  #notice(kind: Extract<EngineEvent, { type: "notice" }>["kind"], detail = ""): void {
    this.#emit({ type: "notice", kind, detail });
  }
}

export type RemoteEngine = Remote<Engine>;

/**
 * What all pieces of work come to. Where one fails, the others are ended, and all have ended when the first's error is thrown:
 * what they use may then be released.
 */
async function together<T>(signal: AbortSignal, begin: (signal: AbortSignal) => Promise<T>[]): Promise<T[]> {
  const failed = new AbortController();
  const work = begin(AbortSignal.any([signal, failed.signal]));
  for (const one of work) one.catch((error: unknown) => failed.abort(error));
  const settled = await Promise.allSettled(work);
  if (failed.signal.aborted) throw failed.signal.reason;
  return settled.map((one) => (one as PromiseFulfilledResult<T>).value);
}

/** Bytes that the browser still keeps for this site. */
async function room(): Promise<number> {
  const { quota = Infinity, usage = 0 } = await navigator.storage.estimate();
  return quota - usage;
}

/** Whether this worker is the only one with the store: held until the worker ends. */
function holdLock(): Promise<boolean> {
  return new Promise((resolve) => {
    navigator.locks
      .request(LOCK, { signal: AbortSignal.timeout(LOCK_PATIENCE) }, () => {
        resolve(true);
        return new Promise<never>(() => {});
      })
      .catch(() => resolve(false));
  });
}
