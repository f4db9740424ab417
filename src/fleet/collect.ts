import { nuid } from "@nats-io/transport-node";
import { setTimeout as sleep } from "node:timers/promises";
import { PithError } from "../errors.ts";
import {
  groupSubject,
  GROUPS,
  makeTaskConsumer,
  taskConsumer,
  taskSubject,
  untilTaken,
  type Fleet,
} from "./connection.ts";
import type { DrawnOutput } from "../train/drawn.ts";
import type { Draw } from "./draw.ts";
import { encodeTask, type Task } from "./messages.ts";

/** Milliseconds between looks for results where there are none. */
const POLL = 50;
/** Milliseconds between looks at the queue while results are missing. */
const LOOK = 5000;
/** Looks in a row that find the queue empty and nothing new before what is missing is queued again. */
const IDLE_LOOKS = 3;
/** Times that a draw's tasks are queued before one of them is given up. */
const QUEUED_AT_MOST = 3;

/** Hears what comes of a draw. */
export interface CollectHost {
  onNew(): void;
  onDuplicate(): void;
  onRefused(worker: string, why: string): void;
  /** Tasks are queued again. */
  onRequeued(count: number): void;
  /** Each time that the queue is looked at and work is left. */
  onWaiting(): void;
}

/**
 * Queues a draw's tasks and takes in what workers send, until all is there. What is at the server already, because a trainer died, is
 * taken first. Ends with the signal's reason.
 *
 * Results are asked for one after the other by their place in the stream, so that nothing stands at the server which a restart
 * could break off.
 */
export async function collect(
  fleet: Fleet,
  run: string,
  draw: Draw,
  host: CollectHost,
  signal: AbortSignal,
): Promise<DrawnOutput[]> {
  const queue = new Queue(fleet, run, draw, host, signal);
  for (let next = 1; draw.missing.length > 0;) {
    const message = await nextResult(fleet, run, draw, next, signal);
    if (message) {
      next = message.seq + 1;
      const worker = message.subject.split(".")[2]!;
      const verdict = draw.take(new Uint8Array(message.data), worker); // a copy: the client's buffers are shared
      if (verdict === "new") host.onNew();
      else if (verdict === "duplicate") host.onDuplicate();
      else host.onRefused(worker, verdict.refused);
    } else {
      await queue.look();
      await pause(POLL, signal);
    }
  }
  return draw.outputs();
}

/** The draw's first result at `seq` or later, null where there is none yet. */
const nextResult = ({ jsm }: Fleet, run: string, draw: Draw, seq: number, signal: AbortSignal) =>
  untilTaken(() => jsm.direct.getMessage(GROUPS, { seq, next_by_subj: groupSubject(run, "*", draw.id) }), signal);

/**
 * A draw's tasks at the server: queued once all results that are there have been read, and again where the queue is empty but results
 * are missing: a task that every worker died of, a result that was refused, a server that lost what it had taken.
 */
class Queue {
  readonly #fleet: Fleet;
  readonly #run: string;
  readonly #draw: Draw;
  readonly #host: CollectHost;
  readonly #signal: AbortSignal;
  #queued = 0;
  #looked = 0;
  #idle = 0;
  #missing = 0;

  constructor(fleet: Fleet, run: string, draw: Draw, host: CollectHost, signal: AbortSignal) {
    this.#fleet = fleet;
    this.#run = run;
    this.#draw = draw;
    this.#host = host;
    this.#signal = signal;
  }

  /** Called whenever there is no result to take. */
  async look(): Promise<void> {
    if (this.#queued === 0) return this.#put(this.#draw.missing);
    if (performance.now() - this.#looked < LOOK) return;
    this.#looked = performance.now();
    this.#host.onWaiting();
    const { missing } = this.#draw;
    const info = await taskConsumer(this.#fleet, this.#run);
    if (!info) await makeTaskConsumer(this.#fleet, this.#run).catch(() => null); // the server is away, or was begun anew
    const isIdle = info?.num_pending === 0 && info.num_ack_pending === 0 && missing.length === this.#missing;
    this.#idle = isIdle ? this.#idle + 1 : 0;
    this.#missing = missing.length;
    if (this.#idle < IDLE_LOOKS) return;
    if (this.#queued === QUEUED_AT_MOST) throw givenUp(missing);
    this.#host.onRequeued(missing.length);
    await this.#put(missing);
  }

  async #put(tasks: readonly Task[]): Promise<void> {
    const subject = taskSubject(this.#run);
    await Promise.all(
      tasks.map((task) => {
        const msgID = nuid.next(); // a try that did arrive is no second task
        return untilTaken(() => this.#fleet.js.publish(subject, encodeTask(task), { msgID }), this.#signal);
      }),
    );
    this.#queued++;
    this.#idle = 0;
    this.#missing = tasks.length;
    this.#looked = performance.now();
  }
}

async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await sleep(milliseconds, undefined, { signal }).catch(() => {});
  signal.throwIfAborted();
}

function givenUp(missing: readonly Task[]): PithError {
  const { promptId, firstSample, samples } = missing[0]!;
  return new PithError(
    `expected results of all tasks, got none of ${missing.length} after they were queued ${QUEUED_AT_MOST} times: the first is prompt ${promptId}, samples ${firstSample} to ${firstSample + samples - 1}; see what the workers say`,
  );
}
