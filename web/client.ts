import { proxy, wrap } from "comlink";
// oxlint-disable-next-line import/default -- Vite makes it: the address of the worker's script
import workerUrl from "./worker.ts?worker&url";
import { openWorker } from "./open-worker.ts";
import type { EngineEvent, NoticeKind, RunView, Sampled, Snapshot } from "./session/protocol.ts";
import type { RemoteEngine } from "./session/engine.ts";

/** What only the page notices. */
export type PageNotice = NoticeKind | "no-worker" | "worker-failed" | "hidden" | "resumable" | "incomplete";

export interface PageState extends Snapshot, RunView {
  /** null while it is being opened, "" where there is none. */
  adapter: string | null;
  /** Responses that are being sampled. */
  sampled: Sampled[];
}

/** "phase": training began, was paused or ended. */
export type Change = "training" | "phase" | "iteration" | "frame" | "sampled" | "runs" | "task" | "adapter";

/** This browser runs no workers here. */
export class NoWorkerError extends Error {}

/** The page's copy of what the worker holds, and the way to it. */
export class Client {
  readonly engine: RemoteEngine;
  state: PageState = {
    adapter: null,
    sampled: [],
    training: { phase: "idle", run: null, done: 0, total: 0, queue: [] },
    metrics: [],
    completions: [],
    frames: [],
    runs: [],
    base: null,
    task: { name: "arithmetic", numTrain: 0, numTest: 0, dropped: {}, pieces: [] },
    model: { name: "", own: false },
  };
  readonly #listeners: ((change: Change) => void)[] = [];
  readonly #onNotice: (kind: PageNotice, detail: string) => void;
  #opened: Promise<unknown> = Promise.resolve();
  /** What tokens say, each once: the answers of all iterations are kept, in few words. */
  readonly #words = new Map<string, string>();

  constructor(onNotice: (kind: PageNotice, detail: string) => void) {
    this.#onNotice = onNotice;
    this.engine = openEngine(onNotice);
  }

  async open(): Promise<void> {
    const opening = this.engine.open(proxy((event: EngineEvent) => this.#receive(event)));
    this.#opened = opening;
    Object.assign(this.state, await opening);
    this.#changed("training", "iteration", "frame", "runs", "task");
    if (this.state.training.phase === "paused") this.#onNotice("resumable", "");
    this.state.adapter = (await this.engine.openDevice()) ?? "";
    this.#changed("adapter");
  }

  subscribe(listener: (change: Change) => void): void {
    this.#listeners.push(listener);
  }

  notice(kind: PageNotice, detail = ""): void {
    this.#onNotice(kind, detail);
  }

  /** Runs an action of the engine, once that is open; what it throws becomes a notice. */
  async attempt<T>(action: () => Promise<T>): Promise<T | undefined> {
    try {
      await this.#opened;
      return await action();
    } catch (error) {
      this.#onNotice("failed", (error as Error).message);
      return undefined;
    }
  }

  /** After an action that may have changed anything. */
  async refresh(): Promise<void> {
    Object.assign(this.state, await this.engine.snapshot());
    this.#changed("training", "runs", "task");
  }

  #once(word: string): string {
    const known = this.#words.get(word);
    if (known !== undefined) return known;
    this.#words.set(word, word);
    return word;
  }

  #receive(event: EngineEvent): void {
    const { state } = this;
    if (event.type === "training") {
      const started = event.training.run?.id !== state.training.run?.id;
      const turned = event.training.phase !== state.training.phase;
      state.training = event.training;
      if (turned && event.training.phase !== "running") this.#sampled([]); // a pause may have cut it off
      if (started) {
        state.metrics = [];
        state.completions = [];
        state.frames = [];
      }
      // A run that goes on from a checkpoint does its last iteration again.
      const done = event.training.run?.iteration ?? 0;
      state.metrics = state.metrics.slice(0, done);
      state.frames = state.frames.filter(({ step }) => step <= done);
      this.#changed("training", ...(turned ? (["phase"] as const) : []), ...(started ? (["iteration"] as const) : []));
    } else if (event.type === "iteration") {
      state.metrics = [...state.metrics.slice(0, event.metrics.iteration - 1), event.metrics];
      state.completions = event.completions;
      if (state.training.run) state.training.run.iteration = event.metrics.iteration;
      this.#changed("iteration");
    } else if (event.type === "frame") {
      const pieces = event.frame.pieces.map((piece) => this.#once(piece));
      state.frames = [...state.frames.filter(({ step }) => step < event.frame.step), { ...event.frame, pieces }];
      this.#changed("frame");
    } else if (event.type === "sampled") {
      this.#sampled(event.responses);
    } else if (event.type === "runs") {
      state.runs = event.runs;
      state.base = event.base;
      this.#changed("runs");
    } else {
      if (event.kind === "no-webgpu") {
        state.adapter = "";
        this.#changed("adapter");
      }
      this.#onNotice(event.kind, event.detail);
    }
  }

  #sampled(responses: Sampled[]): void {
    this.state.sampled = responses;
    this.#changed("sampled");
  }

  #changed(...changes: Change[]): void {
    for (const change of changes) for (const listener of this.#listeners) listener(change);
  }
}

/** The engine in its worker; where the page may run none, one that refuses everything. */
function openEngine(onNotice: (kind: PageNotice, detail: string) => void): RemoteEngine {
  try {
    const worker = openWorker(workerUrl);
    worker.addEventListener("error", (event) => onNotice("worker-failed", event.message ?? ""));
    return wrap(worker) as unknown as RemoteEngine;
  } catch (error) {
    const { message } = error as Error;
    return new Proxy({} as RemoteEngine, { get: () => () => Promise.reject(new NoWorkerError(message)) });
  }
}
