import type { Tokenizer } from "../../src/hf/tokenizer.ts";
import { parseChain } from "../../src/tasks/arithmetic-chains.ts";
import { renderPrompt } from "../../src/tasks/prompt.ts";
import type { Problem, Task } from "../../src/tasks/task.ts";

/** How a model is asked, and what it can be asked. */
export interface Asking extends Pick<Task, "render"> {
  /** What a problem must be, in words. */
  wants: string;
  /** Why a problem is none for this model; null where it is one. */
  unfit(problem: Problem): string | null;
}

/** What marks an answer for the judge. The bundled reasoner was taught to, others are told. */
const INSTRUCTION = "Think step by step, and put the final answer in \\boxed{}.";

const asUser: Task["render"] = ({ prompt }, tokenizer) =>
  tokenizer.applyChatTemplate([{ role: "user", content: prompt }], { addGenerationPrompt: true });

/** A token of no other vocabulary than that of the bundled reasoner, and of what was trained from it. */
const OF_REASONER = "\\boxed{";

/** Theirs. */
export const SUMS: Asking = {
  wants: "sums such as 7+8-5=?, which is what the bundled reasoner was taught",
  render: asUser,
  unfit: ({ prompt }) => (parseChain(prompt) ? null : "not a sum as the bundled reasoner was taught them"),
};

/** That of a model of so many positions. */
export function askingOf(tokenizer: Tokenizer, context: number): Asking {
  if (tokenizer.tokenId(OF_REASONER) !== undefined) return SUMS;
  const told = writes(tokenizer, INSTRUCTION) ? ` ${INSTRUCTION}` : "";
  const chats = hasTemplate(tokenizer);
  const render: Task["render"] = (problem, renderer) => {
    const prompt = problem.prompt + told;
    return chats ? asUser({ ...problem, prompt }, renderer) : prompt;
  };
  return {
    wants: "problems that this model's tokenizer writes in half of its context",
    render,
    unfit(problem) {
      if (!writes(tokenizer, problem.prompt)) return "not in this model's tokens";
      const { promptTokenIds } = renderPrompt({ render }, problem, tokenizer);
      return promptTokenIds.length > context / 2 ? "longer than half of this model's context" : null;
    },
  };
}

/** Whether a tokenizer's tokens say the text; a decoder may take spaces for its own. */
function writes(tokenizer: Tokenizer, text: string): boolean {
  const ids = tokenizer.encode(tokenizer.literal(text), { addSpecialTokens: false });
  const packed = (said: string) => said.replaceAll(/\s/g, "");
  return packed(tokenizer.decode(ids, { skipSpecialTokens: true })) === packed(text);
}

/** Whether the model was taught to chat; a base model's prompt is the text itself. */
export function hasTemplate(tokenizer: Tokenizer): boolean {
  try {
    tokenizer.applyChatTemplate([{ role: "user", content: "" }], { addGenerationPrompt: true });
    return true;
  } catch {
    return false;
  }
}
