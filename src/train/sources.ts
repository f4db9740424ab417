import type { Tokenizer } from "../hf/tokenizer.ts";
import type { Task } from "../tasks/task.ts";

/** What a model's folder and the task say, without a GPU. */
export interface Sources {
  modelDir: string;
  tokenizer: Tokenizer;
  stopTokenIds: number[];
  task: Task;
}
