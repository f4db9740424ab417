/** What a submit may take: Windows takes a device away from who keeps it for two seconds, and browsers do likewise. */
const SUBMIT_SECONDS = 0.05;
/** What may be under way before long work waits: others who use the device wait for as long, and so does a progress bar. */
const QUEUE_SECONDS = 0.5;
/** Submits shorter than this are not timed: it would cost more than it tells. */
const TIMED_SECONDS = 0.005;
/** Seconds a byte before anything was timed: a slow adapter's. */
const FIRST_RATE = 1e-8;
/** How much of the slowest rate that was seen is still feared after a faster submit. */
const MEMORY = 0.9;
/** A dispatch's cost besides its tensors, in bytes. */
const DISPATCH_BYTES = 2 ** 14;

/**
 * How long work will take, from the bytes of the tensors that its dispatches are given and the slowest rate at which the last
 * submits went through theirs. Kernels differ in what they do with a byte, so this is right to a factor, no better.
 */
export class Pace {
  readonly #now: () => number;
  /** Seconds a byte. */
  #rate = FIRST_RATE;
  #lastDone = -Infinity;
  #queuedBytes = 0;

  /** `now`: a clock, in seconds. */
  constructor(now: () => number = () => performance.now() / 1000) {
    this.#now = now;
  }

  /** Whether a submit of so much is as long as one should be. */
  isEnough(bytes: number, dispatches: number): boolean {
    return this.#seconds(bytes + dispatches * DISPATCH_BYTES) >= SUBMIT_SECONDS;
  }

  /** Whether more is under way than should be. */
  get isBusy(): boolean {
    return this.#seconds(this.#queuedBytes) > QUEUE_SECONDS;
  }

  /** Takes a submit's time; `done` resolves when the device has done it. It is called only for those long enough to tell. */
  sent(bytes: number, dispatches: number, done: () => Promise<unknown>): void {
    const work = bytes + dispatches * DISPATCH_BYTES;
    if (this.#seconds(work) < TIMED_SECONDS) return;
    const start = this.#now();
    this.#queuedBytes += work;
    const finish = () => {
      const end = this.#now();
      this.#queuedBytes -= work;
      this.#rate = Math.max((end - Math.max(start, this.#lastDone)) / work, MEMORY * this.#rate);
      this.#lastDone = end;
    };
    done().then(finish, finish); // a lost device does nothing any more
  }

  #seconds(work: number): number {
    return this.#rate * work;
  }
}
