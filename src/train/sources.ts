import type { Tokenizer } from "../hf/tokenizer.ts";
import type { Task } from "../tasks/task.ts";
import type { Overlong } from "./overlong.ts";

/** What a model's folder and the task say, without a GPU. */
export interface Sources {
  modelDir: string;
  /** The folder of an adapter over it, null where the model is itself alone. */
  adapterDir: string | null;
  tokenizer: Tokenizer;
  /** What ends a response; the first is what demonstrations end with. Empty where nothing does. */
  stopTokenIds: number[];
  task: Task;
  /** Problems that `task` lacks because their prompts fill the context. */
  overlong: Overlong[];
}
