import type { Tokenizer } from "../hf/tokenizer.ts";
import type { Problem, Task } from "../tasks/task.ts";

/** A problem whose prompt leaves no room for a response. */
export interface Overlong {
  id: string;
  /** Of its prompt. */
  tokens: number;
}

/** The task without the problems whose prompts have `limit` tokens or more, the context's length; and which those are. */
export function leaveOutOverlong(
  task: Task,
  tokenizer: Pick<Tokenizer, "encode" | "applyChatTemplate">,
  limit: number,
): { task: Task; overlong: Overlong[] } {
  const overlong: Overlong[] = [];
  const fits = (problem: Problem): boolean => {
    const tokens = tokenizer.encode(task.render(problem, tokenizer), { addSpecialTokens: false }).length;
    if (tokens >= limit) overlong.push({ id: problem.id, tokens });
    return tokens < limit;
  };
  // A task's methods may need the task they are of.
  return {
    task: Object.assign(Object.create(task), { train: task.train.filter(fits), test: task.test.filter(fits) }) as Task,
    overlong,
  };
}
