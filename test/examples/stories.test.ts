import { existsSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import stories from "../../examples/stories.ts";
import { loadTokenizer } from "../../src/hf/tokenizer.ts";
import { loadConfig } from "../../src/run/config.ts";
import { nodeFiles } from "../../src/runtime/files-node.ts";

const task = await stories({ options: {} }, { files: nodeFiles });
const unused = { applyChatTemplate: () => "" };

test("no hero of the held-out stories is in the training prompts", () => {
  const heroes = new Set(task.train.map(({ answer }) => answer));
  expect(heroes.size).toBe(task.train.length);
  expect(task.test.length).toBeGreaterThan(0);
  for (const { answer, prompt } of task.test) {
    expect(heroes.has(answer)).toBe(false);
    expect(prompt).toMatch(new RegExp(`^Once upon a time, there was a little (girl|boy) named ${answer}\\.$`));
  }
});

test.each([
  [" Lily was happy.", true, "2"],
  [" She saw Lily's dog. Lily ran.", true, "3"],
  [" She was happy.", false, "1"],
  [" She met Lilyan and lily.", false, "1"],
  ["", false, "1"],
])("judges %j", (story, correct, times) => {
  const lily = [...task.train, ...task.test].find(({ answer }) => answer === "Lily")!;
  expect(task.judge(lily, story)).toMatchObject({ correct, extracted: times });
});

test("configs/stories.toml is a configuration", async () => {
  const path = new URL("../../configs/stories.toml", import.meta.url).pathname;
  const { task: section, rl, eval: evaluation } = await loadConfig(nodeFiles, [path], {});
  expect(section.name).toBe("./examples/stories.ts");
  expect([rl.alpha, rl.max_completion_length, evaluation.max_completion_length]).toEqual([0.2, 440, 440]);
});

const model = new URL("../../../shared/models/stories260k", import.meta.url).pathname;

test.skipIf(!existsSync(model))(
  "prompts are tokenised as the model was trained, BOS first [skipped where ../shared is absent]",
  async () => {
    const tokenizer = await loadTokenizer(nodeFiles, model);
    const { cases } = JSON.parse(readFileSync(`${model}/expected.json`, "utf8")) as {
      cases: { prompt: string; prompt_ids: number[] }[];
    };
    const encode = (text: string) => tokenizer.encode(text, { addSpecialTokens: false });
    for (const { prompt, prompt_ids } of cases) {
      const problem = { ...task.train[0]!, prompt };
      expect(encode(task.render(problem, unused))).toEqual(prompt_ids);
    }
    for (const problem of [...task.train, ...task.test])
      expect(encode(task.render(problem, unused))).toEqual(
        tokenizer.encode(problem.prompt, { addSpecialTokens: true }),
      );
  },
);
