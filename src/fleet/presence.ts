import { readAnnouncement, type Announcement, type WorkerStatus } from "./announcement.ts";
import { keysOf, WORKER_TTL, type Fleet } from "./connection.ts";
import { statusKey } from "./status.ts";

export interface PresenceOptions {
  id: string;
  host: string;
  adapter: string;
  /** The one run to work for; any by default. */
  run?: string | undefined;
  note(line: string): void;
}

/** How a worker, or a gate, is there for the others: the run that it works for, and its word about itself. */
export class Presence {
  readonly #fleet: Fleet;
  readonly #options: PresenceOptions;
  readonly #holds: () => Pick<WorkerStatus, "kind" | "weights" | "tasks">;
  readonly #timer: NodeJS.Timeout;
  #run: string | null = null;
  #state = "";
  #peers = 1;
  #tokens = 0;
  readonly #since = performance.now();
  /** Milliseconds with a task in work, those of the tasks in work now left out. */
  #busy = 0;
  #inWork = 0;
  #busySince = 0;
  readonly #recent: { at: number; tokens: number }[] = [];

  /** `holds`: what it has at the moment. */
  constructor(fleet: Fleet, options: PresenceOptions, holds: () => Pick<WorkerStatus, "kind" | "weights" | "tasks">) {
    this.#fleet = fleet;
    this.#options = options;
    this.#holds = holds;
    this.#timer = setInterval(() => void this.#report(), WORKER_TTL / 3);
  }

  /** The run that it works for. */
  get run(): string | null {
    return this.#run;
  }

  /** How many work for that run, itself counted. */
  get peers(): number {
    return this.#peers;
  }

  /** A run to work for, the one before if it is still there. */
  async findRun(): Promise<{ run: string; announced: Announcement } | null> {
    const found = await this.#announcedRun().catch(() => null); // the server is away
    const run = found?.run ?? null;
    if (run !== this.#run) await this.#leave();
    this.#run = run;
    return found;
  }

  /** Tells a change of what it does or waits for. */
  say(state: string): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#options.note(this.#run === null ? state : `run ${this.#run}: ${state}`);
    void this.#report();
  }

  count(tokens: number): void {
    this.#tokens += tokens;
    this.#recent.push({ at: performance.now(), tokens });
  }

  /** Counts the time of `work` as busy, once where several overlap. */
  async busyWith<T>(work: () => Promise<T>): Promise<T> {
    if (this.#inWork++ === 0) this.#busySince = performance.now();
    try {
      return await work();
    } finally {
      if (--this.#inWork === 0) this.#busy += performance.now() - this.#busySince;
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#leave();
  }

  async #announcedRun(): Promise<{ run: string; announced: Announcement } | null> {
    const { run: only } = this.#options;
    const runs = only === undefined ? await keysOf(this.#fleet, "runs") : [only];
    const ordered = this.#run !== null && runs.includes(this.#run) ? [this.#run, ...runs] : runs;
    for (const run of ordered) {
      const announced = readAnnouncement(await this.#fleet.runs.get(run));
      if (announced) return { run, announced };
    }
    return null;
  }

  async #leave(): Promise<void> {
    await this.#fleet.workers.delete(statusKey(this.#run, this.#options.id)).catch(() => {}); // it expires by itself
  }

  #tokensPerSecond(): number {
    const minute = performance.now() - 60_000;
    while (this.#recent.length > 0 && this.#recent[0]!.at < minute) this.#recent.shift();
    return this.#recent.reduce((sum, { tokens }) => sum + tokens, 0) / 60;
  }

  async #report(): Promise<void> {
    const { id, host, adapter } = this.#options;
    const now = performance.now();
    const inWork = this.#inWork > 0 ? now - this.#busySince : 0;
    const status: WorkerStatus = {
      run: this.#run,
      host,
      adapter,
      state: this.#state,
      ...this.#holds(),
      tokens: this.#tokens,
      tokensPerSecond: this.#tokensPerSecond(),
      up: (now - this.#since) / 1000,
      busy: (this.#busy + inWork) / 1000,
    };
    try {
      await this.#fleet.workers.put(statusKey(this.#run, id), JSON.stringify(status));
      if (this.#run === null) return;
      const peers = await keysOf(this.#fleet, "workers", statusKey(this.#run, "*"));
      this.#peers = Math.max(1, peers.length);
    } catch {
      // the server is away: the next report tells
    }
  }
}
