import type { Tokenizer } from "../hf/tokenizer.ts";
import { renderPrompt } from "../tasks/prompt.ts";
import { withProblems, type Problem, type Task } from "../tasks/task.ts";

/** A problem whose prompt leaves no room for a response. */
export interface Overlong {
  id: string;
  /** Of its prompt. */
  tokens: number;
}

/** Prompts that share a deadline. */
const PROBLEMS_TOGETHER = 256;

/** The task without the problems whose prompts have `limit` tokens or more, the context's length; and which those are. */
export function leaveOutOverlong(
  task: Task,
  tokenizer: Pick<Tokenizer, "encode" | "applyChatTemplate" | "literal" | "plain" | "within">,
  limit: number,
): { task: Task; overlong: Overlong[] } {
  const overlong: Overlong[] = [];
  const fitting = (problems: readonly Problem[]): Problem[] => {
    const kept: Problem[] = [];
    for (let at = 0; at < problems.length; at += PROBLEMS_TOGETHER)
      kept.push(...tokenizer.within(() => problems.slice(at, at + PROBLEMS_TOGETHER).filter(fits)));
    return kept;
  };
  const fits = (problem: Problem): boolean => {
    const tokens = renderPrompt(task, problem, tokenizer).promptTokenIds.length;
    if (tokens >= limit) overlong.push({ id: problem.id, tokens });
    return tokens < limit;
  };
  return {
    task: withProblems(task, { train: fitting(task.train), test: fitting(task.test) }),
    overlong,
  };
}
