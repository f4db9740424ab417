import { shuffledIndices } from "../core/rng.ts";
import type { Tokenizer } from "../hf/tokenizer.ts";
import type { Problem, Task } from "../tasks/task.ts";
import { askProblems, type Asked } from "./rollouts.ts";

/** Random numbers of prompts that replace others, and their order, are no first prompts'. */
const REPLACEMENTS = 2 ** 31;

/** Whom an iteration asks, as a function of the seed and of which iteration it is. */
export class Prompts {
  readonly #setup: { tokenizer: Tokenizer; task: Task };
  readonly #numPrompts: number;
  readonly #seed: number;
  readonly #rounds: number;

  constructor(
    setup: { tokenizer: Tokenizer; task: Task },
    { numPrompts, seed, dynamicSampling }: { numPrompts: number; seed: number; dynamicSampling: number },
  ) {
    this.#setup = setup;
    this.#numPrompts = numPrompts;
    this.#seed = seed;
    this.#rounds = dynamicSampling;
  }

  /** An iteration's first prompts: the training set in a new order each time it is through. */
  first(iteration: number): Asked[] {
    const from = iteration * this.#numPrompts;
    return this.#ask(from, this.#numPrompts, 0);
  }

  /** `count` prompts in the place of others, in the round of that number, from orders of the training set of their own. */
  instead(iteration: number, round: number, count: number): Asked[] {
    return this.#ask((iteration * this.#rounds + round) * this.#numPrompts, count, REPLACEMENTS);
  }

  #ask(from: number, count: number, key: number): Asked[] {
    const { tokenizer, task } = this.#setup;
    const orders = new Map<number, number[]>();
    const problems = Array.from({ length: count }, (_, i): Problem => {
      const epoch = Math.floor((from + i) / task.train.length);
      if (!orders.has(epoch)) orders.set(epoch, shuffledIndices(task.train.length, this.#seed, key + epoch));
      return task.train[orders.get(epoch)![(from + i) % task.train.length]!]!;
    });
    return askProblems(tokenizer, task, problems, key + from);
  }
}
