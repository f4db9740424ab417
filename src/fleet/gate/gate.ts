import type { Consumer, JsMsg } from "@nats-io/jetstream";
import type { Msg } from "@nats-io/transport-node";
import { setTimeout as sleep } from "node:timers/promises";
import { FormatError, PithError } from "../../errors.ts";
import { revoke } from "../access/keeper.ts";
import { GUEST_PAYLOAD } from "../access/roles.ts";
import { GATE, GUEST } from "../access/subjects.ts";
import { policySchema, readAnnouncement, type Announcement } from "../announcement.ts";
import { groupSubject, takeTasks, untilTaken, type Fleet } from "../connection.ts";
import { probeOf } from "../kind.ts";
import {
  checkResult,
  decodeResult,
  decodeTask,
  encodeResult,
  paramsOf,
  requestOf,
  type Result,
  type Task,
} from "../messages.ts";
import { Presence, type PresenceOptions } from "../presence.ts";
import type { WorkerPolicy } from "../worker-policy.ts";
import { encodeReply, VERBS, type Reply, type Verb } from "./protocol.ts";
import { replayResult } from "./replay-result.ts";
import { Trust } from "./trust.ts";
import { Visitor } from "./visitor.ts";

/** Milliseconds that the server holds a request for a task. */
const PULL = 1000;
/** Milliseconds between looks for a run, or for another version of its policy. */
const IDLE = 1000;
/** Milliseconds between words to the server that tasks are in work. */
const BEAT = 1000;
/** Milliseconds that a task which comes back waits for another guest before it is a worker's. */
const ASIDE = 5000;
/** Comings and goings of one guest that are said. */
const MOST_NOTES = 6;
const TOO_LONG = "this run's responses are too long for a tab";

export interface GateOptions extends PresenceOptions {
  /** Which adapters guests may have: of the trainer's kind alone, or any. */
  requireKind: "same" | "any";
  signal: AbortSignal;
}

/** A run that tasks are handed out of. */
interface Desk {
  run: string;
  consumer: Consumer;
  /** Its results are longer than a guest's message may be. */
  isTooLong: boolean;
  /** Ends the desk, for there is another version. */
  close(): void;
}

/**
 * The one that strangers talk to. It takes tasks as a worker does and hands them to guests, at most two to each; what comes back it
 * draws again on its own device, whose kind is the trainer's, and sends on in its own name, with its own log-probabilities. Whoever
 * is caught is shut out. Guests reach nothing else: they may publish at gate.GUEST.> alone, and are answered under guest.GUEST.>.
 */
export class Gate {
  readonly #fleet: Fleet;
  readonly #policy: WorkerPolicy;
  readonly #options: GateOptions;
  readonly #presence: Presence;
  readonly #visitors = new Map<string, Visitor>();
  #desk: Desk | null = null;
  /**
   * Tasks that guests gave back, or of a version that is not loaded yet, and when they came. Guests come and go: handed back to the
   * server, a task would soon have been delivered as often as one that kills its workers.
   */
  #aside: { message: JsMsg; since: number }[] = [];
  /** Why there is no desk. */
  #waits = "the gate waits for a run";
  /** What the device does: one thing after the other. */
  #device: Promise<unknown> = Promise.resolve();

  constructor(fleet: Fleet, policy: WorkerPolicy, options: GateOptions) {
    this.#fleet = fleet;
    this.#policy = policy;
    this.#options = options;
    this.#presence = new Presence(fleet, options, () => ({
      kind: policy.kind,
      weights: policy.weights,
      tasks: this.#all().reduce((sum, { tasks }) => sum + tasks, 0),
    }));
  }

  /** @throws PithError what ends a gate: its device is lost, or the policy does not fit */
  async work(): Promise<void> {
    const { signal } = this.#options;
    const heard = this.#fleet.nc.subscribe(`${GATE}.*.*`, {
      callback: (error, message) => void (error ?? this.#hear(message)),
    });
    const beat = setInterval(() => this.#beat(), BEAT);
    try {
      while (!signal.aborted) {
        const found = await this.#presence.findRun();
        if (!found) this.#wait("the gate waits for a run");
        else if (await this.#take(found.run, found.announced)) {
          await this.#serve(found.run);
          continue;
        }
        await pause(IDLE, signal);
      }
    } finally {
      heard.unsubscribe();
      clearInterval(beat);
      for (const visitor of this.#all()) visitor.drop({ past: false });
      for (const { message } of this.#aside) message.nak();
      await this.#presence.close();
    }
  }

  #all(): Visitor[] {
    return [...this.#visitors.values()];
  }

  #giveBack(message: JsMsg): void {
    this.#aside.push({ message, since: Date.now() });
  }

  #wait(why: string): void {
    this.#waits = why;
    this.#presence.say(why);
  }

  /** Has the device do this after what it does. */
  #onDevice<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#device.then(work);
    this.#device = done.catch(() => {}); // whoever asked for it hears of it
    return done;
  }

  /** Loads the announced policy; whether guests may sample from it. */
  async #take(run: string, announced: Announcement): Promise<boolean> {
    const version = announced.weights.slice(0, 8);
    if (announced.weights !== this.#policy.weights) this.#wait(`the gate loads ${version}`);
    try {
      await this.#onDevice(() => this.#policy.load(run, announced));
    } catch (error) {
      if (error instanceof PithError) throw error;
      this.#wait(`the gate cannot fetch ${version}: ${(error as Error).message}`);
      return false;
    }
    if (this.#policy.kind === announced.kind) return true;
    this.#wait(
      `the gate's adapter, ${this.#options.adapter}, is of kind ${this.#policy.kind!.slice(0, 8)}, the trainer's of kind ${announced.kind.slice(0, 8)}; start pith gate on an adapter like the trainer's`,
    );
    return false;
  }

  /** Hands out the run's tasks until there is another version of its policy, or no run. */
  async #serve(run: string): Promise<void> {
    const { signal } = this.#options;
    const consumer = await takeTasks(this.#fleet, run).catch(() => null);
    if (!consumer) return pause(IDLE, signal);
    const closed = new AbortController();
    this.#desk = { run, consumer, isTooLong: false, close: () => closed.abort() };
    this.#sayWhoIsHere();
    const ends = AbortSignal.any([signal, closed.signal]);
    while (!ends.aborted) {
      await pause(IDLE, ends);
      const entry = await this.#fleet.runs.get(run).catch(() => "away" as const);
      if (entry !== "away" && readAnnouncement(entry)?.weights !== this.#policy.weights) break;
    }
    this.#desk = null;
    this.#waits = "the gate loads the next weights";
    // Another version is announced once all of this one's results are there.
    for (const visitor of this.#all()) visitor.drop({ past: !signal.aborted });
  }

  #beat(): void {
    const now = Date.now();
    if (this.#desk) this.#sayWhoIsHere();
    const isOver = ({ since }: { since: number }) => this.#desk !== null && now - since > ASIDE;
    for (const one of this.#aside) {
      if (isOver(one)) one.message.nak();
      else one.message.working();
    }
    this.#aside = this.#aside.filter((one) => !isOver(one));
    for (const visitor of this.#all()) {
      visitor.beat(now);
      if (visitor.isSilent(now) && !visitor.isShutOut) {
        this.#partWith(visitor, "is not heard of any more");
        this.#visitors.delete(visitor.id);
      }
    }
  }

  /** Takes a guest's tasks back; it may come again. */
  #partWith(visitor: Visitor, why: string): void {
    visitor.drop({ past: false });
    if (visitor.weights === null) return;
    visitor.weights = null;
    this.#noteMove(visitor, `${why}: ${visitor.accepted} accepted, ${visitor.refused} refused`);
  }

  /** What a guest may do again and again is said as often as a log bears. */
  #noteMove(visitor: Visitor, what: string): void {
    if (visitor.notes++ < MOST_NOTES) this.#options.note(`guest ${visitor.name} ${what}`);
  }

  #sayWhoIsHere(): void {
    const here = this.#all().filter(({ weights, isShutOut }) => weights !== null && !isShutOut).length;
    this.#presence.say(here === 1 ? "one guest samples" : `${here} guests sample`);
  }

  async #hear(message: Msg): Promise<void> {
    const [, id, verb] = message.subject.split(".") as [string, string, Verb];
    const now = Date.now();
    const visitor = this.#visitors.get(id) ?? new Visitor(id, now, (task) => this.#giveBack(task));
    this.#visitors.set(id, visitor);
    if (visitor.isShutOut || !visitor.hear(now)) return;
    // Only where the guest itself may listen: an answer to anywhere else would reach others in the gate's name.
    const isAsked = message.reply?.startsWith(`${GUEST}.${id}.`) === true;
    let reply: Reply | null;
    try {
      if (!VERBS.includes(verb)) throw new FormatError(`expected ${VERBS.join(", ")}, got ${verb.slice(0, 20)}`);
      reply = await this.#answer(visitor, verb, new Uint8Array(message.data)); // a copy: the client's buffers are shared
    } catch (error) {
      if (!(error instanceof FormatError)) {
        this.#options.note(`guest ${visitor.name}: ${(error as Error).message}`);
        reply = { wait: "the gate has a problem of its own" };
      } else reply = this.#refuse(visitor, error.message);
    }
    if (reply && isAsked) message.respond(encodeReply(reply));
  }

  #refuse(visitor: Visitor, why: string): Reply {
    if (visitor.refused++ === 0) this.#options.note(`refused a message of guest ${visitor.name}: ${why}`);
    return { refused: why };
  }

  async #answer(visitor: Visitor, verb: Verb, bytes: Uint8Array): Promise<Reply | null> {
    if (verb === "beat") return null;
    if (verb === "leave") {
      this.#partWith(visitor, "has left");
      return null;
    }
    if (verb === "result") return this.#receive(visitor, bytes);
    const desk = this.#desk;
    if (!desk) return { wait: this.#waits };
    const policy = this.#policy.announced!;
    if (verb === "policy") return { policy: policySchema.parse(policy), run: desk.run };
    if (verb === "probe") return this.#join(visitor, bytes);
    if (visitor.weights !== policy.weights) return { stale: true };
    return this.#giveTask(visitor, desk);
  }

  #join(visitor: Visitor, bytes: Uint8Array): Reply {
    const own = this.#policy.probe;
    const probe = probeOf(bytes, own);
    if (!probe)
      throw new FormatError(
        `expected a probe under weights ${this.#policy.weights!.slice(0, 8)}, got ${bytes.length} bytes`,
      );
    const trust = new Trust(own, probe);
    if (!trust.isSameKind && this.#options.requireKind === "same")
      return {
        wait: "this run takes adapters that compute the trainer's bits alone, and this tab's computes others; pith gate --require-kind any would let it in",
      };
    if (trust.obstacle) return { wait: trust.obstacle };
    if (visitor.trust === null)
      this.#noteMove(visitor, `samples, on an adapter of ${trust.isSameKind ? "the same" : "another"} kind`);
    visitor.trust = trust;
    visitor.weights = this.#policy.weights;
    return { joined: true };
  }

  async #giveTask(visitor: Visitor, desk: Desk): Promise<Reply> {
    const why = desk.isTooLong ? TOO_LONG : visitor.ask();
    if (why) return { wait: why };
    try {
      const message = this.#aside.shift()?.message ?? (await desk.consumer.next({ expires: PULL }).catch(() => null));
      if (!message) return { wait: "no task waits" };
      let task: Task;
      try {
        task = decodeTask(new Uint8Array(message.data));
      } catch (error) {
        this.#options.note(`refused ${(error as Error).message}`);
        message.term();
        return { wait: "no task waits" };
      }
      if (task.weights !== this.#policy.weights) {
        const announced = readAnnouncement(await this.#fleet.runs.get(desk.run).catch(() => null));
        if (announced?.weights === task.weights) this.#giveBack(message);
        else message.term(); // of a policy that is past
        desk.close();
        return { stale: true };
      }
      desk.isTooLong = 4096 + 8 * task.samples * task.maxTokens > GUEST_PAYLOAD;
      if (desk.isTooLong) message.nak();
      else if (this.#desk !== desk || visitor.isShutOut) this.#giveBack(message);
      else {
        visitor.hold(task, message, Date.now());
        return { task };
      }
      return { wait: desk.isTooLong ? TOO_LONG : this.#waits };
    } finally {
      visitor.endAsk();
    }
  }

  /** Takes in a result: drawn again, it counts, or its guest is shut out. */
  async #receive(visitor: Visitor, bytes: Uint8Array): Promise<Reply> {
    const result = decodeResult(bytes);
    const held = visitor.release(result);
    if (!held) throw new FormatError("it answers no task that this guest holds");
    const { task, message } = held;
    const policy = this.#policy.announced!;
    const run = this.#desk?.run;
    if (run === undefined || task.weights !== policy.weights) {
      message.term();
      return { stale: true };
    }
    const beat = setInterval(() => message.working(), 1000);
    try {
      return await this.#replay(visitor, run, task, result, message);
    } catch (error) {
      this.#giveBack(message);
      if (error instanceof FormatError) return this.#shutOut(visitor, error.message);
      throw error;
    } finally {
      clearInterval(beat);
    }
  }

  async #replay(visitor: Visitor, run: string, task: Task, result: Result, message: JsMsg): Promise<Reply> {
    const policy = this.#policy;
    const replayed = await this.#onDevice(async () => {
      if (task.weights !== policy.weights) return null;
      const { maxModelLen } = policy.announced!;
      checkResult({ ...task, reference: null }, result, { vocabSize: policy.model.config.vocabSize, maxModelLen });
      const { agreement, drawn } = await replayResult(policy.model, task, result, policy.kind!);
      const lie = visitor.trust!.add(agreement);
      if (lie) throw new FormatError(lie);
      if (visitor.isShutOut) throw new FormatError("another result of this guest was not drawn");
      const isDrawn = agreement.drawnOtherwise === 0;
      const counts = isDrawn ? drawn : await this.#drawn(task);
      return { isDrawn, counts: { ...counts, outputs: await policy.score(task, counts.outputs) } };
    });
    if (!replayed) {
      message.term();
      return { stale: true };
    }
    const { isDrawn, counts } = replayed;
    const { signal, id } = this.#options;
    const subject = groupSubject(run, id, task.draw);
    const msgID = `${id}/${message.seq}`;
    await untilTaken(() => this.#fleet.js.publish(subject, encodeResult(counts), { msgID }), signal);
    message.ack();
    this.#presence.count(counts.outputs.reduce((sum, { tokenIds }) => sum + tokenIds.length, 0));
    if (isDrawn) visitor.accepted++;
    else visitor.refused++;
    return isDrawn ? { accepted: true } : { refused: "the trainer's adapter draws another token here" };
  }

  /** What the gate's own device draws: instead of an honest guest's, whose adapter rounds otherwise where two tokens are close. */
  async #drawn(task: Task): Promise<Result> {
    const { weights, draw, promptId, firstSample } = task;
    const { outputs } = await this.#policy.llm.addRequest(requestOf(task), paramsOf(task));
    const samples = outputs.map(({ index: _, ...output }) => output);
    return { weights, draw, kind: this.#policy.kind!, promptId, firstSample, outputs: samples };
  }

  async #shutOut(visitor: Visitor, why: string): Promise<Reply> {
    const refused = { refused: `this did not come from sampling as asked: ${why}; this invitation has ended` };
    visitor.refused++;
    if (visitor.isShutOut) return refused;
    visitor.isShutOut = true;
    visitor.drop({ past: false });
    this.#options.note(`guest ${visitor.name} is shut out, for it did not draw what it sent: ${why}`);
    // The answer goes first: with the guest's right to be here its connection ends.
    void sleep(100)
      .then(() => revoke(this.#fleet, visitor.id))
      .catch((error: unknown) =>
        this.#options.note(
          `guest ${visitor.name} is heard no more, but its token still holds: ${(error as Error).message}`,
        ),
      );
    return refused;
  }
}

async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await sleep(milliseconds, undefined, { signal }).catch(() => {});
}
