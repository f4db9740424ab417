import type { JsMsg } from "@nats-io/jetstream";
import type { Task } from "./messages.ts";

/** Tasks that a worker has taken, each told to the server as going on, so that nobody else gets it. */
export class HeldTasks {
  readonly #held = new Map<JsMsg, { task: Task; ended: Promise<void> }>();
  readonly #kept = new Set<JsMsg>();
  readonly #beat: NodeJS.Timeout;
  #failure: { error: unknown } | null = null;

  /** `ackWait`: milliseconds after which the server gives a task away. */
  constructor(ackWait: number) {
    this.#beat = setInterval(() => {
      for (const message of [...this.#held.keys(), ...this.#kept]) message.working();
    }, ackWait / 3);
  }

  get size(): number {
    return this.#held.size;
  }

  /** Samples of the tasks. */
  get samples(): number {
    return this.#held.values().reduce((sum, { task }) => sum + task.samples, 0);
  }

  /** Holds a task for as long as `work` takes. */
  run(message: JsMsg, task: Task, work: () => Promise<void>): void {
    const ended = work()
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => this.#held.delete(message));
    this.#held.set(message, { task, ended });
  }

  /** Keeps a task that has not begun while `work` prepares for it. */
  async keep<T>(message: JsMsg, work: () => Promise<T>): Promise<T> {
    this.#kept.add(message);
    try {
      return await work();
    } finally {
      this.#kept.delete(message);
    }
  }

  /** Throws where a task has failed. */
  check(): void {
    if (this.#failure) throw this.#failure.error;
  }

  /** When the next of them ends. */
  async next(): Promise<void> {
    await Promise.race(this.#held.values().map(({ ended }) => ended));
  }

  async all(): Promise<void> {
    await Promise.all(this.#held.values().map(({ ended }) => ended));
    this.check();
  }

  /** Stops telling; whatever is held then is given away. */
  async close(): Promise<void> {
    await Promise.all(this.#held.values().map(({ ended }) => ended));
    clearInterval(this.#beat);
  }
}
