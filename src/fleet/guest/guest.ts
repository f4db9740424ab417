import { errors, type NatsConnection } from "@nats-io/nats-core";
import { OutOfMemoryError } from "../../errors.ts";
import { GATE } from "../access/subjects.ts";
import { decodeReply, type Reply, type Verb } from "../gate/protocol.ts";
import { probeBytes } from "../kind.ts";
import { encodeResult, paramsOf, requestOf, type Task } from "../messages.ts";
import type { WorkerPolicy } from "../worker-policy.ts";

/** Tasks at once. */
const TASKS = 2;
/** Milliseconds between questions while there is nothing to do. */
const IDLE = 1000;
/** Milliseconds between words that the guest is at work. */
const BEAT = 3000;
/** Milliseconds that an answer may take: others' results are drawn again before this one's. */
const PATIENCE = 60_000;

/** What a guest did, and does. */
export interface Lent {
  state: string;
  /** Tasks in work. */
  tasks: number;
  /** Tokens sampled, results that count, and results that do not. */
  tokens: number;
  accepted: number;
  refused: number;
}

/** Samples for a fleet's run by way of its gate, on a device that is lent: what a tab does. */
export class Guest {
  readonly #nc: NatsConnection;
  readonly #id: string;
  readonly #policy: WorkerPolicy;
  readonly #onChange: (lent: Lent) => void;
  #lent: Lent = { state: "asks the gate", tasks: 0, tokens: 0, accepted: 0, refused: 0 };

  constructor(nc: NatsConnection, id: string, policy: WorkerPolicy, onChange: (lent: Lent) => void) {
    this.#nc = nc;
    this.#id = id;
    this.#policy = policy;
    this.#onChange = onChange;
  }

  /** Until the signal, or until the connection is closed for good. Fails where the device does. */
  async work(signal: AbortSignal): Promise<void> {
    const beat = setInterval(() => this.#tell("beat"), BEAT);
    try {
      while (!signal.aborted && !this.#nc.isClosed()) {
        const reply = await this.#ask("policy");
        if ("policy" in reply) {
          this.#say("loads weights");
          await this.#policy.load(reply.run, reply.policy);
          const joined = await this.#ask("probe", probeBytes(this.#policy.probe));
          if ("joined" in joined) await this.#sample(signal);
          else await this.#rest(joined, signal);
        } else await this.#rest(reply, signal);
      }
    } finally {
      clearInterval(beat);
      this.#tell("leave");
      await this.#nc.flush().catch(() => {});
    }
  }

  /** Takes tasks until the policy is another. */
  async #sample(signal: AbortSignal): Promise<void> {
    this.#say("samples");
    const ended = new AbortController();
    const ends = AbortSignal.any([signal, ended.signal]);
    let memory: OutOfMemoryError | null = null;
    const take = async () => {
      while (!ends.aborted && !this.#nc.isClosed()) {
        const reply = await this.#ask("task");
        if ("task" in reply) {
          try {
            await this.#run(reply.task, signal);
          } catch (error) {
            ended.abort();
            if (!(error instanceof OutOfMemoryError)) throw error;
            memory = error;
          }
        } else if ("wait" in reply) await this.#rest(reply, ends);
        else ended.abort();
      }
    };
    await Promise.all(Array.from({ length: TASKS }, take));
    if (memory) await this.#policy.shrink(memory);
  }

  async #run(task: Task, signal: AbortSignal): Promise<void> {
    this.#change({ state: "samples", tasks: this.#lent.tasks + 1 });
    try {
      const { outputs } = await this.#policy.llm.addRequest(requestOf(task), paramsOf(task), { signal });
      const { weights, draw, promptId, firstSample } = task;
      const samples = outputs.map(({ index: _, ...output }) => output);
      const kind = this.#policy.kind!;
      const reply = await this.#ask(
        "result",
        encodeResult({ weights, draw, kind, promptId, firstSample, outputs: samples }),
      );
      const tokens = outputs.reduce((sum, { tokenIds }) => sum + tokenIds.length, 0);
      this.#change({
        tokens: this.#lent.tokens + tokens,
        accepted: this.#lent.accepted + ("accepted" in reply ? 1 : 0),
        refused: this.#lent.refused + ("refused" in reply ? 1 : 0),
        ...("refused" in reply ? { state: reply.refused } : {}),
      });
    } finally {
      this.#change({ tasks: this.#lent.tasks - 1 });
    }
  }

  /** The gate's answer; a wait where there is none. */
  async #ask(verb: Verb, payload: Uint8Array | string = ""): Promise<Reply> {
    try {
      const message = await this.#nc.request(`${GATE}.${this.#id}.${verb}`, payload, { timeout: PATIENCE });
      return decodeReply(message.string());
    } catch (error) {
      const isAlone = error instanceof errors.RequestError && error.isNoResponders();
      return { wait: isAlone ? "no gate is there" : `the gate does not answer: ${(error as Error).message}` };
    }
  }

  #tell(verb: Verb): void {
    if (!this.#nc.isClosed()) this.#nc.publish(`${GATE}.${this.#id}.${verb}`);
  }

  async #rest(reply: Reply, signal: AbortSignal): Promise<void> {
    if (this.#lent.tasks === 0) {
      if ("wait" in reply) this.#say(reply.wait);
      if ("refused" in reply) this.#say(reply.refused);
    }
    await pause(IDLE, signal);
  }

  #say(state: string): void {
    this.#change({ state });
  }

  #change(change: Partial<Lent>): void {
    this.#lent = { ...this.#lent, ...change };
    this.#onChange(this.#lent);
  }
}

/** So many milliseconds, or until the signal. */
function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    signal.addEventListener("abort", end);
    if (signal.aborted) end();
  });
}
