import type { JsMsg } from "@nats-io/jetstream";
import type { Task } from "../messages.ts";
import type { Trust } from "./trust.ts";

/** Tasks that a guest holds at most. */
export const MOST_TASKS = 2;
/** Messages a second that a guest is heard with; an honest one sends a few. */
const MOST_MESSAGES = 50;
/** Milliseconds without a word, and with a task, after which that is another's. */
const SILENCE = 15_000;
const PATIENCE = 120_000;
/** Tasks in a row that it did not finish in time before it gets no more. */
const MOST_LATE = 3;

interface Held {
  task: Task;
  message: JsMsg;
  since: number;
}

const keyOf = ({ draw, promptId, firstSample }: Pick<Task, "draw" | "promptId" | "firstSample">): string =>
  `${draw}/${promptId}/${firstSample}`;

/** A guest as the gate knows it. Times are in milliseconds. */
export class Visitor {
  readonly id: string;
  /** What is expected of it under the weights that it joined with. */
  trust: Trust | null = null;
  weights: string | null = null;
  /** Nothing of it is heard any more. */
  isShutOut = false;
  /** Lines in the log about it. */
  notes = 0;
  accepted = 0;
  refused = 0;
  #heard: number;
  #second = 0;
  #messages = 0;
  #asking = 0;
  #late = 0;
  readonly #held = new Map<string, Held>();
  readonly #giveBack: (message: JsMsg) => void;

  /** `giveBack`: where its tasks go that it does not finish. */
  constructor(id: string, now: number, giveBack: (message: JsMsg) => void) {
    this.id = id;
    this.#giveBack = giveBack;
    this.#heard = now;
  }

  /** As people read it. */
  get name(): string {
    return this.id.slice(0, 9);
  }

  /** Hears a message; false where there are too many. */
  hear(now: number): boolean {
    this.#heard = now;
    if (now - this.#second >= 1000) [this.#second, this.#messages] = [now, 0];
    return ++this.#messages <= MOST_MESSAGES;
  }

  isSilent(now: number): boolean {
    return now - this.#heard > SILENCE;
  }

  /** Why it gets no task; "" where it does, and then a place is kept until `endAsk`. */
  ask(): string {
    if (this.#late >= MOST_LATE)
      return `this tab took longer than ${PATIENCE / 1000} s for ${MOST_LATE} tasks in a row`;
    if (this.#held.size + this.#asking >= MOST_TASKS) return `this tab has ${MOST_TASKS} tasks already`;
    this.#asking++;
    return "";
  }

  endAsk(): void {
    this.#asking--;
  }

  hold(task: Task, message: JsMsg, now: number): void {
    this.#held.set(keyOf(task), { task, message, since: now });
  }

  /** The task that a result answers, which it does not hold any more; null where it holds none such. */
  release(answer: Pick<Task, "draw" | "promptId" | "firstSample">): Held | null {
    const held = this.#held.get(keyOf(answer)) ?? null;
    this.#held.delete(keyOf(answer));
    if (held) this.#late = 0;
    return held;
  }

  get tasks(): number {
    return this.#held.size;
  }

  /** Tells the server that its tasks are in work; gives back what takes too long. */
  beat(now: number): void {
    for (const [key, { message, since }] of this.#held) {
      if (!this.isSilent(now) && now - since < PATIENCE) message.working();
      else {
        this.#giveBack(message);
        this.#held.delete(key);
        this.#late++;
      }
    }
  }

  /** Gives back all that it holds; `past`: nobody wants it any more. */
  drop({ past }: { past: boolean }): void {
    for (const { message } of this.#held.values()) {
      if (past) message.term();
      else this.#giveBack(message);
    }
    this.#held.clear();
  }
}
