import type { Consumer, JsMsg } from "@nats-io/jetstream";
import { setTimeout as sleep } from "node:timers/promises";
import { ConfigError, OutOfMemoryError, PithError } from "../errors.ts";
import { readAnnouncement, type Announcement } from "./announcement.ts";
import { groupSubject, takeTasks, untilTaken, type Fleet } from "./connection.ts";
import { HeldTasks } from "./held-tasks.ts";
import { decodeTask, encodeResult, paramsOf, requestOf, type Task } from "./messages.ts";
import { Presence, type PresenceOptions } from "./presence.ts";
import type { WorkerPolicy } from "./worker-policy.ts";

/** Milliseconds that the server holds a request for a task. */
const PULL = 1000;
/** Milliseconds before more is taken than this worker's share of the queue. */
const SHARE_PAUSE = 250;
/** Milliseconds between looks for a run, and while another kind is wanted. */
const IDLE = 1000;

export interface WorkerOptions extends PresenceOptions {
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
  readonly #presence: Presence;
  #outOfMemory: OutOfMemoryError | null = null;

  constructor(fleet: Fleet, policy: WorkerPolicy, options: WorkerOptions) {
    this.#fleet = fleet;
    this.#policy = policy;
    this.#options = options;
    this.#presence = new Presence(fleet, options, () => ({
      kind: policy.kind,
      weights: policy.weights,
      tasks: this.#held.size,
    }));
  }

  /** @throws PithError what ends a worker: its device is lost, one sequence does not fit, the policy's logits are not finite */
  async work(): Promise<void> {
    const { signal } = this.#options;
    const presence = this.#presence;
    presence.say("waits for a run");
    try {
      while (!signal.aborted) {
        const found = await presence.findRun();
        if (!found) {
          presence.say("waits for a run");
          await pause(IDLE, signal);
          continue;
        }
        if (await this.#take(found.run, found.announced)) await this.#serve(found.run);
        else await pause(IDLE, signal);
      }
    } finally {
      await this.#held.close();
      await presence.close();
    }
  }

  /** Loads the announced policy; whether this worker may sample from it. */
  async #take(run: string, announced: Announcement): Promise<boolean> {
    if (announced.weights !== this.#policy.weights) this.#presence.say(`loads ${announced.weights.slice(0, 8)}`);
    try {
      await this.#policy.load(run, announced);
    } catch (error) {
      // The server is away, or has a later version already.
      if (error instanceof PithError) throw error;
      this.#presence.say(`cannot fetch ${announced.weights.slice(0, 8)}: ${(error as Error).message}`);
      return false;
    }
    if (this.#policy.kind === announced.kind) return true;
    this.#presence.say(
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
      this.#presence.say("samples");
      const message = await consumer.next({ expires: PULL }).catch(() => null);
      this.#held.check();
      if (message && !(await this.#accept(run, message))) return;
      if (!message && this.#held.size === 0) return;
      if (message && this.#held.size >= (this.#held.size + message.info.pending) / this.#presence.peers)
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
      if (!(await this.#held.keep(message, () => this.#take(run, announced)))) {
        message.nak();
        return false;
      }
    }
    this.#held.run(message, task, () => this.#presence.busyWith(() => this.#sample(run, message, task)));
    return true;
  }

  async #sample(run: string, message: JsMsg, task: Task): Promise<void> {
    const { id, signal } = this.#options;
    const kind = this.#policy.kind!;
    try {
      const { outputs } = await this.#policy.llm.addRequest(requestOf(task), paramsOf(task), { signal });
      const { weights, draw, promptId, firstSample } = task;
      const samples = await this.#policy.score(
        task,
        outputs.map(({ index: _, ...output }) => output),
      );
      const bytes = encodeResult({ weights, draw, kind, promptId, firstSample, outputs: samples });
      const msgID = `${id}/${message.seq}`;
      await untilTaken(() => this.#fleet.js.publish(groupSubject(run, id, draw), bytes, { msgID }), signal);
      message.ack();
      this.#presence.count(outputs.reduce((sum, { tokenIds }) => sum + tokenIds.length, 0));
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
}

async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await sleep(milliseconds, undefined, { signal }).catch(() => {});
}
