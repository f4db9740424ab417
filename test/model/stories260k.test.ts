import { describe, expect, test } from "vitest";
import { LLM } from "../../src/engine/llm.ts";
import { loadTokenizer } from "../../src/hf/tokenizer.ts";
import { packSequences } from "../../src/model/batch.ts";
import { Model } from "../../src/model/model.ts";
import { tokenLogprobs } from "../../src/train/policy.ts";
import { testGpu } from "../helpers/gpu.ts";
import { files } from "../helpers/host.ts";

const dir = new URL("../../../shared/models/stories260k", import.meta.url).pathname;

interface Case {
  prompt: string;
  prompt_ids: number[];
  completion_ids: number[];
  logprobs: number[];
  smallest_logit_gap: number;
}

const here = await files.exists(dir);

describe.skipIf(!here)("stories260k, a real pretrained Llama [skipped where ../shared is absent]", async () => {
  const { cases } = JSON.parse(here ? await files.readText(`${dir}/expected.json`) : '{"cases":[]}') as {
    cases: Case[];
  };

  test.each(cases)(
    "greedy continuation and log-probabilities of $prompt",
    async ({ prompt, prompt_ids, completion_ids, logprobs: wanted, smallest_logit_gap }) => {
      expect(smallest_logit_gap).toBeGreaterThan(1e-4); // otherwise a tie may fall either way
      const model = await Model.load(await testGpu(), files, dir, { dtype: "float32" });
      const tokenizer = await loadTokenizer(files, dir);
      expect(tokenizer.encode(prompt, { addSpecialTokens: true })).toEqual(prompt_ids);

      const llm = new LLM(model, { maxNumSeqs: 1 });
      const params = {
        n: 1,
        temperature: 0,
        topK: 0,
        topP: 1,
        maxTokens: completion_ids.length,
        seed: 0,
        stopTokenIds: [2, 1],
      };
      const [result] = await llm.generate([{ promptId: 0, promptTokenIds: prompt_ids }], params);
      expect(result!.outputs[0]!.tokenIds).toEqual(completion_ids);

      const { logprobs } = await tokenLogprobs(model, packSequences([[...prompt_ids, ...completion_ids]]), {
        temperature: 1,
      });
      const got = logprobs.slice(1);
      expect(wanted.length).toBe(got.length);
      expect(Math.max(...wanted.map((want, t) => Math.abs(got[t]! - want)))).toBeLessThan(1e-4);
      llm.dispose();
      model.dispose();
    },
  );
});
