import type { Problem, Task, TemplateTokenizer } from "./task.ts";

/** The part of a tokenizer that a prompt passes through. */
export interface PromptTokenizer extends TemplateTokenizer {
  literal(text: string): string;
  plain(text: string): string;
  encode(text: string, options: { addSpecialTokens: boolean }): number[];
}

/**
 * A problem's prompt as text and as tokens. The problem is data: what it spells of special tokens is text. Only the task and
 * the chat template speak in control tokens.
 */
export function renderPrompt(
  task: Pick<Task, "render">,
  problem: Problem,
  tokenizer: PromptTokenizer,
): { prompt: string; promptTokenIds: number[] } {
  const rendered = task.render({ ...problem, prompt: tokenizer.literal(problem.prompt) }, tokenizer);
  return {
    prompt: tokenizer.plain(rendered),
    promptTokenIds: tokenizer.encode(rendered, { addSpecialTokens: false }),
  };
}
