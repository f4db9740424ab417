import { KernelCompileError, OutOfMemoryError, PithError } from "../errors.ts";

/** What a device says against a call, once it knows: null if nothing. Never rejects: the loss of the device is told elsewhere. */
export type Verdict = Promise<PithError | null>;

const FILTERS = ["internal", "validation", "out-of-memory"] as const;

/** Calls the device, and gives what comes of it with the device's verdict on this call and no other. */
export function judged<T>(device: GPUDevice, call: () => T): [result: T, verdict: Verdict] {
  for (const filter of FILTERS) device.pushErrorScope(filter);
  let result: T;
  try {
    result = call();
  } catch (error) {
    void popped(device);
    throw error;
  }
  return [result, popped(device)];
}

function popped(device: GPUDevice): Verdict {
  const errors = Promise.all(FILTERS.map(() => device.popErrorScope()));
  return errors.then(
    ([outOfMemory, ...others]) => {
      if (outOfMemory) return outOfMemoryError(outOfMemory.message);
      const other = others.find((error) => error !== null);
      return other ? refusal(other.message) : null;
    },
    () => null, // the device is lost
  );
}

const outOfMemoryError = (message: string) =>
  new OutOfMemoryError(
    `the GPU is out of memory: ${oneLine(message)}; use fewer tokens per micro-batch or a smaller KV cache`,
  );

export const refusal = (message: string) => new PithError(`the GPU refused a command: ${oneLine(message)}`);

const oneLine = (text: string): string => text.trim().replaceAll(/\s+/g, " ");

/** One job's errors on the device, from call to wait. */
export class Failures {
  readonly #pending = new Set<Promise<void>>();
  #found: PithError[] = [];

  watch(verdict: Verdict): void {
    const seen: Promise<void> = verdict.then((error) => {
      this.#pending.delete(seen);
      if (error) this.#found.push(error);
    });
    this.#pending.add(seen);
  }

  add(error: PithError): void {
    this.#found.push(error);
  }

  /** The error that explains the others, when all verdicts are there; none is told twice. */
  async take(): Promise<PithError | null> {
    while (this.#pending.size > 0) await Promise.all(this.#pending);
    const found = this.#found;
    this.#found = [];
    // Commands with what could not be compiled or made are refused, which says nothing new.
    const isCause = (error: PithError) => error instanceof KernelCompileError || error instanceof OutOfMemoryError;
    return found.find(isCause) ?? found[0] ?? null;
  }
}
