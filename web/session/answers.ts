import { LLM } from "../../src/engine/llm.ts";
import { gradeMarked } from "../../src/grader/grade.ts";
import { StreamDecoder, type Tokenizer } from "../../src/hf/tokenizer.ts";
import type { Model } from "../../src/model/model.ts";
import { chainValues, parseChain } from "../../src/tasks/arithmetic-chains.ts";
import { renderPrompt } from "../../src/tasks/prompt.ts";
import type { Task } from "../../src/tasks/task.ts";
import type { Answer } from "./protocol.ts";

const MAX_TOKENS = 256;

/** The answer of a sum such as 7+8-5=?, null where the text is none. */
export function goldOf(problem: string): string | null {
  const chain = parseChain(problem);
  return chain && String(chainValues(chain).at(-1));
}

/** The tokens that ask a model `text`, which is a visitor's. */
export const askedOf = (asking: Pick<Task, "render">, text: string, tokenizer: Tokenizer): number[] =>
  renderPrompt(asking, { id: "", prompt: text, answer: "", difficulty: "" }, tokenizer).promptTokenIds;

/** Streams one greedy completion. `onPieces` gets what each further token says. */
export async function streamAnswer(
  model: Model,
  tokenizer: Tokenizer,
  {
    promptTokenIds,
    stopTokenIds,
    gold,
  }: { promptTokenIds: readonly number[]; stopTokenIds: readonly number[]; gold: string | null },
  onPieces: (pieces: string[]) => void,
  signal: AbortSignal,
): Promise<Answer> {
  const maxModelLen = Math.min(promptTokenIds.length + MAX_TOKENS, model.config.maxPositionEmbeddings);
  const llm = new LLM(model, { maxNumSeqs: 1, maxModelLen });
  const stream = new StreamDecoder(tokenizer);
  const start = performance.now();
  const pieces: string[] = [];
  try {
    const [result] = await llm.generate(
      [{ promptId: 0, promptTokenIds }],
      { n: 1, temperature: 0, topK: 0, topP: 1, maxTokens: MAX_TOKENS, seed: 0, stopTokenIds },
      {
        signal,
        onTokens: ({ tokenIds, finished }) => {
          const added = tokenIds.map((id, i) => stream.push([id], finished && i === tokenIds.length - 1));
          pieces.push(...added);
          onPieces(added);
        },
      },
    );
    const text = pieces.join("");
    const truncated = result!.outputs[0]!.finishReason === "length";
    const correct = gold === null ? null : !truncated && gradeMarked(text, gold).correct;
    return { text, pieces, tokens: pieces.length, correct, truncated, seconds: (performance.now() - start) / 1000 };
  } finally {
    llm.dispose();
  }
}
