import type { Consumer, JsMsg } from "@nats-io/jetstream";
import { setTimeout as sleep } from "node:timers/promises";
import { ConfigError, OutOfMemoryError, PithError } from "../errors.ts";
import { readAnnouncement, type Announcement, type WorkerStatus } from "./announcement.ts";
import { groupSubject, takeTasks, untilTaken, WORKER_TTL, type Fleet } from "./connection.ts";
import { HeldTasks } from "./held-tasks.ts";
import { decodeTask, encodeResult, paramsOf, requestOf, type Task } from "./messages.ts";
import { countWorkers, statusKey } from "./status.ts";
import type { WorkerPolicy } from "./worker-policy.ts";

/** Milliseconds that the server holds a request for a task. */
const PULL = 1000;
/** Milliseconds before more is taken than this worker's share of the queue. */
const SHARE_PAUSE = 250;
/** Milliseconds between looks for a run, and while another kind is wanted. */
const IDLE = 1000;

export interface WorkerOptions {
  id: string;
  host: string;
  adapter: string;
  /** The one run to work for; any by default. */
  run?: string | undefined;
  note(line: string): void;
  signal: AbortSignal;
}

/**
 * Samples for a fleet's runs until the signal: takes the announced policy, then tasks as long as its engine has room, and sends what
 * each came to. A task is acknowledged once its result is at the server; until then it is somebody else's as soon as this worker is
 * silent.
 */
export class Worker {
  readonly #fleet: Fleet;
  readonly #policy: WorkerPolicy;
  readonly #options: WorkerOptions;
  #held = new HeldTasks(30_000);
  #run: string | null = null;
  #state = "";
  #peers = 1;
  #tokens = 0;
  readonly #recent: { at: number; tokens: number }[] = [];
  #outOfMemory: OutOfMemoryError | null = null;

  constructor(fleet: Fleet, policy: WorkerPolicy, options: WorkerOptions) {
    this.#fleet = fleet;
    this.#policy = policy;
    this.#options = options;
  }

  /** @throws PithError what ends a worker: its device is lost, one sequence does not fit, the policy's logits are not finite */
  async work(): Promise<void> {
    const { signal } = this.#options;
    this.#say("waits for a run");
    const report = setInterval(() => void this.#report(), WORKER_TTL / 3);
    try {
      while (!signal.aborted) {
        const found = await this.#findRun().catch(() => null); // the server is away
        this.#changeRun(found?.run ?? null);
        if (!found) {
          this.#say("waits for a run");
          await pause(IDLE, signal);
          continue;
        }
        if (await this.#take(found.announced)) await this.#serve(found.run);
        else await pause(IDLE, signal);
      }
    } finally {
      clearInterval(report);
      await this.#held.close();
      await this.#fleet.workers.delete(statusKey(this.#run, this.#options.id)).catch(() => {}); // it expires by itself
    }
  }

  #changeRun(run: string | null): void {
    if (run === this.#run) return;
    this.#fleet.workers.delete(statusKey(this.#run, this.#options.id)).catch(() => {}); // it expires by itself
    this.#run = run;
  }

  async #findRun(): Promise<{ run: string; announced: Announcement } | null> {
    const runs =
      this.#options.run === undefined ? await Array.fromAsync(await this.#fleet.runs.keys()) : [this.#options.run];
    const ordered = this.#run !== null && runs.includes(this.#run) ? [this.#run, ...runs] : runs;
    for (const run of ordered) {
      const announced = readAnnouncement(await this.#fleet.runs.get(run));
      if (announced) return { run, announced };
    }
    return null;
  }

  /** Loads the announced policy; whether this worker may sample from it. */
  async #take(announced: Announcement): Promise<boolean> {
    if (announced.weights !== this.#policy.weights) this.#say(`loads ${announced.weights.slice(0, 8)}`);
    try {
      await this.#policy.load(this.#run!, announced);
    } catch (error) {
      // The server is away, or has a later version already.
      if (error instanceof PithError) throw error;
      this.#say(`cannot fetch ${announced.weights.slice(0, 8)}: ${(error as Error).message}`);
      return false;
    }
    if (this.#policy.kind === announced.kind) return true;
    this.#say(
      `waits: the run wants log-probabilities of kind ${announced.kind.slice(0, 8)}, those of ${this.#options.adapter} are of kind ${this.#policy.kind!.slice(0, 8)}`,
    );
    return false;
  }

  /** Takes the run's tasks until there is none and nothing is held. */
  async #serve(run: string): Promise<void> {
    const { signal } = this.#options;
    let consumer: Consumer;
    try {
      consumer = await takeTasks(this.#fleet, run);
      await this.#held.close();
      this.#held = new HeldTasks((await consumer.info()).config.ack_wait! / 1e6);
    } catch {
      return pause(IDLE, signal);
    }
    while (!signal.aborted) {
      if (this.#outOfMemory) await this.#shrink(this.#outOfMemory);
      if (this.#held.samples >= this.#policy.llm.maxNumSeqs) {
        await this.#held.next();
        continue;
      }
      this.#say("samples");
      const message = await consumer.next({ expires: PULL }).catch(() => null);
      this.#held.check();
      if (message && !(await this.#accept(run, message))) return;
      if (!message && this.#held.size === 0) return;
      if (message && this.#held.size >= (this.#held.size + message.info.pending) / this.#peers)
        await Promise.race([this.#held.next(), sleep(SHARE_PAUSE)]);
    }
  }

  /** False where this worker may take no more. */
  async #accept(run: string, message: JsMsg): Promise<boolean> {
    let task: Task;
    try {
      task = decodeTask(new Uint8Array(message.data)); // a copy: the client's buffers are shared
    } catch (error) {
      this.#options.note(`refused ${(error as Error).message}`);
      message.term();
      return true;
    }
    if (task.weights !== this.#policy.weights) {
      const announced = readAnnouncement(await untilTaken(() => this.#fleet.runs.get(run), this.#options.signal));
      if (announced?.weights !== task.weights) {
        message.term(); // of a policy that is past
        return true;
      }
      await this.#held.all();
      if (!(await this.#held.keep(message, () => this.#take(announced)))) {
        message.nak();
        return false;
      }
    }
    this.#held.run(message, task, () => this.#sample(run, message, task));
    return true;
  }

  async #sample(run: string, message: JsMsg, task: Task): Promise<void> {
    const { id, signal } = this.#options;
    const kind = this.#policy.kind!;
    try {
      const { outputs } = await this.#policy.llm.addRequest(requestOf(task), paramsOf(task), { signal });
      const { weights, draw, promptId, firstSample } = task;
      const samples = outputs.map(({ index: _, ...output }) => output);
      const bytes = encodeResult({ weights, draw, kind, promptId, firstSample, outputs: samples });
      const msgID = `${id}/${message.seq}`;
      await untilTaken(() => this.#fleet.js.publish(groupSubject(run, id, draw), bytes, { msgID }), signal);
      message.ack();
      this.#count(outputs.reduce((sum, { tokenIds }) => sum + tokenIds.length, 0));
    } catch (error) {
      if (error instanceof ConfigError) {
        this.#options.note(`refused a task: ${error.message}`);
        return message.term();
      }
      message.nak();
      if (error instanceof OutOfMemoryError) this.#outOfMemory = error;
      else if (!signal.aborted) throw error;
    }
  }

  async #shrink(error: OutOfMemoryError): Promise<void> {
    await this.#held.all();
    this.#outOfMemory = null;
    this.#options.note(
      `out of memory; samples on with ${await this.#policy.shrink(error)} sequences (${error.message})`,
    );
  }

  #count(tokens: number): void {
    this.#tokens += tokens;
    this.#recent.push({ at: performance.now(), tokens });
  }

  #tokensPerSecond(): number {
    const minute = performance.now() - 60_000;
    while (this.#recent.length > 0 && this.#recent[0]!.at < minute) this.#recent.shift();
    return this.#recent.reduce((sum, { tokens }) => sum + tokens, 0) / 60;
  }

  #say(state: string): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#options.note(this.#run === null ? state : `run ${this.#run}: ${state}`);
    void this.#report();
  }

  async #report(): Promise<void> {
    const { id, host, adapter } = this.#options;
    const status: WorkerStatus = {
      run: this.#run,
      host,
      adapter,
      state: this.#state,
      kind: this.#policy.kind,
      weights: this.#policy.weights,
      tasks: this.#held.size,
      tokens: this.#tokens,
      tokensPerSecond: this.#tokensPerSecond(),
    };
    try {
      await this.#fleet.workers.put(statusKey(this.#run, id), JSON.stringify(status));
      if (this.#run !== null) this.#peers = Math.max(1, await countWorkers(this.#fleet, this.#run));
    } catch {
      // the server is away: the next report tells
    }
  }
}

async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await sleep(milliseconds, undefined, { signal }).catch(() => {});
}
