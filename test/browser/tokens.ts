import { LLM } from "../../src/engine/llm.ts";
import type { Gpu } from "../../src/gpu/gpu.ts";
import { stopTokenIds } from "../../src/hf/generation-config.ts";
import { loadTokenizer } from "../../src/hf/tokenizer.ts";
import { Model } from "../../src/model/model.ts";
import type { Files } from "../../src/runtime/types.ts";
import { renderPrompt } from "../../src/tasks/prompt.ts";
import { arithmeticTask } from "../../src/tasks/arithmetic.ts";

export interface Tokens {
  /** Of each problem the one greedy response. */
  greedy: number[][];
  /** Of each problem some samples at temperature 1. */
  sampled: number[][];
}

/** What the model in `dir` answers to the first held-out problems, for one host to be compared with another. */
export async function tokensOf(gpu: Gpu, files: Files, dir: string): Promise<Tokens> {
  const model = await Model.load(gpu, files, dir, { dtype: "float32" });
  const tokenizer = await loadTokenizer(files, dir);
  const task = arithmeticTask();
  const requests = task.test.slice(0, 16).map((problem, promptId) => ({
    promptId,
    promptTokenIds: renderPrompt(task, problem, tokenizer).promptTokenIds,
  }));
  const llm = new LLM(model, { maxNumSeqs: 16, maxModelLen: 320 });
  const stops = await stopTokenIds(files, dir, model.config, tokenizer);
  const draw = async (n: number, temperature: number) => {
    const params = { n, temperature, topK: 0, topP: 1, maxTokens: 256, seed: 7, stopTokenIds: stops };
    const results = await llm.generate(requests, params);
    return results.flatMap(({ outputs }) => outputs.map(({ tokenIds }) => tokenIds));
  };
  const tokens = { greedy: await draw(1, 0), sampled: await draw(4, 1) };
  llm.dispose();
  model.dispose();
  return tokens;
}
