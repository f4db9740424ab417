import { ConfigError, FormatError } from "../../src/errors.ts";
import { arithmeticTask } from "../../src/tasks/arithmetic.ts";
import { parseChain } from "../../src/tasks/arithmetic-chains.ts";
import { loadMath } from "../../src/tasks/math.ts";
import type { Task } from "../../src/tasks/task.ts";
import type { Files } from "../../src/runtime/types.ts";
import { BlobFiles } from "../storage/blob-files.ts";
import type { TaskInfo } from "./protocol.ts";

/** Training problems to choose from: more than a run in a tab goes through. */
const NUM_TRAIN = 4000;
const NUM_TEST = 200;

const ARITHMETIC = "arithmetic";
const FOLDER = "problems";
/** Holds the name of the task that was chosen last. */
const CHOSEN = "task.txt";
/** One row in this many of a dropped file is held out. */
const HELD_OUT_ONE_IN = 5;
const NO_SUM = "not a sum as the bundled reasoner was taught them";

/** The tasks that the page can train on: the sums, and files of problems that were dropped on it. */
export class Problems {
  readonly #files: Files;
  readonly #tasks = new Map<string, Task>();
  #chosen = ARITHMETIC;

  constructor(files: Files) {
    this.#files = files;
    this.#tasks.set(ARITHMETIC, arithmeticTask({ num_train: NUM_TRAIN, num_test: NUM_TEST }));
  }

  /** Reads the files that earlier visits left. `onUnreadable` hears of those that are left alone, because they cannot be read. */
  async restore(onUnreadable: (message: string) => void): Promise<void> {
    const names = (await this.#files.exists(FOLDER)) ? await this.#files.list(FOLDER) : [];
    for (const name of names) {
      try {
        this.#tasks.set(name, await this.#read(this.#files, `${FOLDER}/${name}`, name));
      } catch (error) {
        onUnreadable((error as Error).message);
      }
    }
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
    const task = await this.#read(new BlobFiles([[name, blob]]), name, name);
    await this.#files.write(`${FOLDER}/${name}`, new Uint8Array(await blob.arrayBuffer()));
    this.#tasks.set(name, task);
    return this.choose(name);
  }

  async choose(name: string): Promise<TaskInfo> {
    this.get(name);
    this.#chosen = name;
    await this.#files.write(CHOSEN, name);
    return this.info;
  }

  async #read(files: Files, path: string, name: string): Promise<Task> {
    const { problems: all, dropped } = await loadMath({ files }, path);
    const problems = all.filter(({ prompt }) => parseChain(prompt));
    const heldOut = (_: unknown, i: number) => i % HELD_OUT_ONE_IN === 0;
    const test = problems.filter(heldOut);
    const train = problems.filter((problem, i) => !heldOut(problem, i));
    if (train.length === 0)
      throw new FormatError(
        `${name}: expected at least 2 sums such as 7+8-5=?, which is what the bundled reasoner was taught, got ${problems.length} among ${all.length} problems with a numeric answer`,
      );
    const words = all.length - problems.length;
    const { render, judge } = this.get(ARITHMETIC);
    return { name, train, test, dropped: { ...dropped, ...(words > 0 ? { [NO_SUM]: words } : {}) }, render, judge };
  }
}
