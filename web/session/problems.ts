import { ConfigError, FormatError } from "../../src/errors.ts";
import { arithmeticTask, isHeldOut } from "../../src/tasks/arithmetic.ts";
import { loadMath } from "../../src/tasks/math.ts";
import type { Problem, Task } from "../../src/tasks/task.ts";
import type { Files } from "../../src/runtime/types.ts";
import { BlobFiles } from "../storage/blob-files.ts";
import { SUMS, type Asking } from "./asking.ts";
import type { TaskInfo } from "./protocol.ts";

type Counts = Omit<TaskInfo, "pieces">;

/** Training problems to choose from: more than a run in a tab goes through. */
const NUM_TRAIN = 4000;
const NUM_TEST = 200;

/** The built-in sums. */
const ARITHMETIC = "arithmetic";
const FOLDER = "problems";
/** Holds the name of the task that was chosen last. */
const CHOSEN = "task.txt";
/** One row in this many of a dropped file is held out. */
const HELD_OUT_ONE_IN = 5;

/** Problems as they were made or dropped, before any model is asked them. */
interface Source {
  problems: readonly Problem[];
  dropped: Readonly<Record<string, number>>;
  isHeldOut: (problem: Problem, i: number) => boolean;
}

/** What the page can train on: the sums, and files of problems that were dropped on it; as far as a model can be asked them. */
export class Problems {
  readonly #files: Files;
  readonly #sums: Task;
  readonly #sources = new Map<string, Source>();
  #tasks = new WeakMap<Asking, Map<string, Task>>();
  #chosen = ARITHMETIC;
  #asking: Asking = SUMS;

  constructor(files: Files) {
    this.#files = files;
    this.#sums = arithmeticTask({ num_train: NUM_TRAIN, num_test: NUM_TEST });
    const { train, test } = this.#sums;
    this.#sources.set(ARITHMETIC, {
      problems: [...train, ...test],
      dropped: {},
      isHeldOut: ({ prompt }) => isHeldOut(prompt),
    });
  }

  /** Reads the files that earlier visits left. `onUnreadable` hears of those that are left alone, because they cannot be read. */
  async restore(onUnreadable: (message: string) => void): Promise<void> {
    const names = (await this.#files.exists(FOLDER)) ? await this.#files.list(FOLDER) : [];
    for (const name of names) {
      try {
        this.#sources.set(name, await read(this.#files, `${FOLDER}/${name}`));
      } catch (error) {
        onUnreadable((error as Error).message);
      }
    }
    const chosen = (await this.#files.exists(CHOSEN)) ? await this.#files.readText(CHOSEN) : ARITHMETIC;
    this.#chosen = this.#fits(chosen, SUMS) ? chosen : ARITHMETIC;
  }

  /** The problems of that name which a model can be asked, and how. */
  task(name: string, asking: Asking): Task {
    const made = this.#tasks.get(asking)?.get(name);
    if (made) return made;
    const source = this.#sources.get(name);
    if (!source) throw new ConfigError(`expected the problems ${name}, got none of that name; drop the file again`);
    const task = this.#make(name, source, asking);
    if (!this.#tasks.has(asking)) this.#tasks.set(asking, new Map());
    this.#tasks.get(asking)!.set(name, task);
    return task;
  }

  /** The task that is chosen, for the model that is. */
  get current(): Task {
    return this.task(this.#chosen, this.#asking);
  }

  get info(): Counts {
    const { name, train, test, dropped } = this.current;
    return { name, numTrain: train.length, numTest: test.length, dropped: dropped ?? {} };
  }

  /** Another model is asked from now on: what is chosen, where that is for it, else the sums. */
  askBy(asking: Asking): void {
    const chosen = this.#fits(this.#chosen, asking) ? this.#chosen : ARITHMETIC;
    this.task(chosen, asking);
    this.#asking = asking;
    this.#chosen = chosen;
  }

  /** Keeps a dropped file and makes its problems the task; a bad file leaves everything as it was. */
  async add(name: string, blob: Blob): Promise<Counts> {
    const source = await read(new BlobFiles([[name, blob]]), name);
    this.#make(name, source, this.#asking);
    await this.#files.write(`${FOLDER}/${name}`, new Uint8Array(await blob.arrayBuffer()));
    this.#sources.set(name, source);
    this.#tasks = new WeakMap();
    return this.choose(name);
  }

  async choose(name: string): Promise<Counts> {
    this.task(name, this.#asking);
    this.#chosen = name;
    await this.#files.write(CHOSEN, name);
    return this.info;
  }

  #fits(name: string, asking: Asking): boolean {
    try {
      this.task(name, asking);
      return true;
    } catch {
      return false; // of no such name, or with nothing for this model
    }
  }

  #make(name: string, { problems, dropped, isHeldOut: isOut }: Source, { wants, render, unfit }: Asking): Task {
    const left: Record<string, number> = { ...dropped };
    const fitting = problems.filter((problem) => {
      const reason = unfit(problem);
      if (reason !== null) left[reason] = (left[reason] ?? 0) + 1;
      return reason === null;
    });
    const test = fitting.filter(isOut);
    const train = fitting.filter((problem, i) => !isOut(problem, i));
    if (train.length === 0)
      throw new FormatError(
        `${name}: expected at least 2 ${wants}, got ${fitting.length} among ${problems.length} problems with a numeric answer`,
      );
    return { name, train, test, dropped: left, render, judge: this.#sums.judge };
  }
}

async function read(files: Files, path: string): Promise<Source> {
  const { problems, dropped } = await loadMath({ files }, path);
  return { problems, dropped, isHeldOut: (_, i) => i % HELD_OUT_ONE_IN === 0 };
}
