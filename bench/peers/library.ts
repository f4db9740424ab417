/** What a module beside this one has to offer: `open` and a library with as many of the cases as it can do. */
export interface Library {
  version: string;
  cases: Record<string, Work>;
}

export interface Work {
  /** Does it `repeats` times and waits for the device. */
  run(repeats: number): Promise<void>;
  /** A number that says what was computed: a digest of the result, or the loss after CHECKED_STEPS steps from the start. */
  check(): Promise<number>;
}

/** Operations in a model of onnxruntime: what a run takes besides them is shared out. */
export const CHAIN = 8;

export type Open = (device?: string) => Promise<Library>;

/** What compare.ts asks of a worker; one without `work` opens the library. */
export interface Request {
  work?: string;
  /** None: `check`. */
  repeats?: number;
}

export interface Reply {
  error?: string;
  /** Of a library that was opened. */
  version?: string;
  cases?: string[];
  /** Of a check. */
  value?: number;
  /** Of a run, for one repetition. */
  ms?: number;
}
