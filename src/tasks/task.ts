import type { Reference } from "../core/length-rewards/index.ts";
import type { Solution } from "../core/solutions.ts";
import type { Verdict } from "../grader/grade.ts";
import type { DataHost } from "./rows.ts";

export interface Problem {
  id: string;
  /** What the user asks. */
  prompt: string;
  /** The gold answer, in a form that the task's judge understands. */
  answer: string;
  difficulty: string | number;
  /** What a length reward may need to know of the problem. */
  reference?: Reference;
}

/** What a task says of a response. */
export interface Judgement extends Verdict {
  /** How good the answer is, 0 to 1, where the task grades; without it `correct` counts as 1 or 0. */
  reward?: number;
}

/** The part of a tokenizer that rendering a prompt may need. */
export interface TemplateTokenizer {
  applyChatTemplate(messages: { role: string; content: string }[], options: { addGenerationPrompt: boolean }): string;
}

/** Prompts and how a response to one is judged. */
export interface Task {
  name: string;
  train: readonly Problem[];
  /** Held out: no problem of it is in `train`. */
  test: readonly Problem[];
  /** The text that is tokenised as the prompt, special tokens spelled out. */
  render(problem: Problem, tokenizer: TemplateTokenizer): string;
  /** Judges the text of a response. That a response cut off counts as incorrect is not the task's business. Never throws. */
  judge(problem: Problem, response: string): Judgement;
  /** A worked response for `pith sft`, drawn by seed; only tasks that can write one have it. */
  demonstration?(problem: Problem, seed: number): string;
  /** Where a response that is judged correct reaches answers, in order, for `dpo.data`; only tasks that can tell have it. Never throws. */
  solutions?(problem: Problem, response: string): Solution[];
  /** Rows that were left out when the data was read, by reason. */
  dropped?: Readonly<Record<string, number>>;
}

/** The task with other problems. Its methods may need the task that they are of, and may be those of a class. */
export const withProblems = (task: Task, problems: Partial<Pick<Task, "train" | "test">>): Task =>
  Object.assign(Object.create(task) as Task, problems);

/** What a task module exports by default: makes the task from the configuration's `task` section. */
export type TaskFactory = (options: TaskOptions, host: DataHost) => Task | Promise<Task>;

/** The `task` section: `path` and `test_path` name data files, `options` is the task's own. */
export interface TaskOptions {
  path?: string | undefined;
  test_path?: string | undefined;
  options: Readonly<Record<string, unknown>>;
}
