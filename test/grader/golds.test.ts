import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { grade, GRADERS } from "../../src/grader/grade.ts";

const shared = fileURLToPath(new URL("../../../shared/data", import.meta.url));

type Row = Record<"answer" | "solution", string>;
const text = (path: string) => readFileSync(`${shared}/${path}`, "utf8").trim();
const lines = (path: string): Row[] =>
  text(path)
    .split("\n")
    .map((line) => JSON.parse(line) as Row);

/** Rows, their gold texts, and how many of them the paper's checker empties, or takes its own answer for another. */
const SETS: Record<string, { golds: () => string[]; dataset?: string; empty?: number; unlike?: number }> = {
  "GSM8K test": { golds: () => lines("gsm8k/test.jsonl").map(({ answer }) => answer), dataset: "gsm8k" },
  "GSM8K train": { golds: () => lines("gsm8k/train.jsonl").map(({ answer }) => answer), dataset: "gsm8k" },
  "MATH test": { golds: () => lines("math/test.jsonl").map(({ solution }) => solution), empty: 2, unlike: 4 },
  "MATH train": {
    golds: () => (JSON.parse(text("math/train_rllm_answers.json")) as Row[]).map(({ answer }) => `\\boxed{${answer}}`),
    empty: 4,
    unlike: 1,
  },
  "MATH-500": { golds: () => lines("math500/test.jsonl").map(({ solution }) => solution), empty: 1, unlike: 1 },
  "AIME 2024": { golds: () => lines("aime24/aime_2024.jsonl").map(({ solution }) => solution) },
  "AIME 1983-2023": { golds: () => lines("aime24/aime_1983_2023.jsonl").map(({ solution }) => solution) },
};

describe.skipIf(!existsSync(shared))("golds [skipped where ../shared is absent]", () => {
  test.each(Object.entries(SETS))("%s: every row's answer is found and equals itself", (_, set) => {
    const { golds, dataset = "math", empty = 0, unlike = 0 } = set;
    for (const grader of GRADERS) {
      let [none, other] = [0, 0];
      for (const gold of golds()) {
        // Two rows of MATH train have no answer.
        if (gold === "\\boxed{}" && grader === "strict") continue;
        const own = grade(gold, gold, { grader, dataset });
        expect(own.verdict, gold.slice(-100)).toBe(true);
        if (own.gold === "") none++;
        else if (!grade(`so \\boxed{${own.gold}}.`, gold, { grader, dataset }).verdict) other++;
      }
      expect([none, other]).toEqual(grader === "strict" ? [0, 0] : [empty, unlike]);
    }
  });
});
