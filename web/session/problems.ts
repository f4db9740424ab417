import { ConfigError, FormatError } from "../../src/errors.ts";
import { arithmeticTask } from "../../src/tasks/arithmetic.ts";
import { loadMath } from "../../src/tasks/math.ts";
import type { Task } from "../../src/tasks/task.ts";
import type { Store } from "../storage.ts";
import type { TaskInfo } from "./protocol.ts";

/** Training problems to choose from: more than a run in a tab goes through. */
const NUM_TRAIN = 4000;
const NUM_TEST = 200;

export const ARITHMETIC = "arithmetic";
const FOLDER = "problems";
/** Holds the name of the task that was chosen last. */
const CHOSEN = "task.txt";
/** One row in this many of a dropped file is held out. */
const HELD_OUT_ONE_IN = 5;

/** The tasks that the page can train on: the sums, and files of problems that were dropped on it. */
export class Problems {
  readonly #files: Store;
  readonly #tasks = new Map<string, Task>();
  #chosen = ARITHMETIC;

  constructor(files: Store) {
    this.#files = files;
    this.#tasks.set(ARITHMETIC, arithmeticTask({ num_train: NUM_TRAIN, num_test: NUM_TEST }));
  }

  /** Reads the files that earlier visits left. */
  async restore(): Promise<void> {
    if (!(await this.#files.exists(FOLDER))) return;
    for (const name of await this.#files.list(FOLDER)) await this.#read(name);
    const chosen = (await this.#files.exists(CHOSEN)) ? await this.#files.readText(CHOSEN) : ARITHMETIC;
    if (this.#tasks.has(chosen)) this.#chosen = chosen;
  }

  get = (name: string): Task => {
    const task = this.#tasks.get(name);
    if (!task) throw new ConfigError(`expected the problems ${name}, got none of that name; drop the file again`);
    return task;
  };

  get info(): TaskInfo {
    const { name, train, test, dropped } = this.get(this.#chosen);
    return { name, numTrain: train.length, numTest: test.length, dropped: dropped ?? {} };
  }

  /** Keeps a dropped file and makes its problems the task; a bad file leaves everything as it was. */
  async add(name: string, blob: Blob): Promise<TaskInfo> {
    const path = `${FOLDER}/${name}`;
    await this.#files.write(path, new Uint8Array(await blob.arrayBuffer()));
    try {
      await this.#read(name);
    } catch (error) {
      await this.#files.remove(path);
      throw error;
    }
    return this.choose(name);
  }

  async choose(name: string): Promise<TaskInfo> {
    this.get(name);
    this.#chosen = name;
    await this.#files.write(CHOSEN, name);
    return this.info;
  }

  async #read(name: string): Promise<void> {
    const { problems, dropped } = await loadMath(this.#files, `${FOLDER}/${name}`);
    const heldOut = (_: unknown, i: number) => i % HELD_OUT_ONE_IN === 0;
    const test = problems.filter(heldOut);
    const train = problems.filter((problem, i) => !heldOut(problem, i));
    if (train.length === 0)
      throw new FormatError(`${name}: expected at least 2 problems with a numeric answer, got ${problems.length}`);
    const { render, judge } = this.get(ARITHMETIC);
    this.#tasks.set(name, { name, train, test, dropped, render, judge });
  }
}
