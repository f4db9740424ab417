import { describe, expect, test } from "vitest";
import { FormatError } from "../../src/errors.ts";
import { nodeFiles } from "../../src/runtime/files-node.ts";
import { mathRows, unusable } from "../../src/tasks/math-rows.ts";
import { readRows, type Row } from "../../src/tasks/rows.ts";
import { fileURLToPath } from "node:url";

const one = (row: Row) => mathRows([row], "data")[0]!;
const user = (content: unknown) => ({ role: "user", content });

describe("a problem that is a conversation", () => {
  test.each<[string, unknown, string]>([
    ["one message", [user("What is 3+4?")], "What is 3+4?"],
    ["after the system's", [{ role: "system", content: "Be brief." }, user("2+2?")], "2+2?"],
    [
      "in parts",
      [
        user([
          { type: "text", text: "2" },
          { type: "text", text: "+2?" },
        ]),
      ],
      "2\n+2?",
    ],
  ])("%s", (_, prompt, text) => {
    expect(one({ prompt, answer: "4" }).prompt).toBe(text);
  });

  test.each<[string, unknown]>([
    ["of several turns", [user("a"), { role: "assistant", content: "b" }, user("c")]],
    ["that is none", ["What is 3+4?"]],
    ["of nobody", []],
    ["that ends with the assistant", [{ role: "assistant", content: "b" }]],
    ["with a picture", [user([{ type: "image" }, { type: "text", text: "What is it?" }])]],
  ])("%s is refused by its column", (_, prompt) => {
    expect(() => one({ prompt, answer: "4" })).toThrow(FormatError);
    expect(() => one({ prompt, answer: "4" })).toThrow(/^data: row 0: expected column prompt to hold a text or one/);
  });

  test("verl's shape has its answer under reward_model", () => {
    const row = { data_source: "m", prompt: [user("1+1?")], reward_model: { ground_truth: "2", style: "rule" } };
    expect(one(row)).toMatchObject({ prompt: "1+1?", answer: "2" });
  });
});

describe("answers", () => {
  test.each<[string, unknown, string, string | null]>([
    ["a whole number", 28, "28", null],
    ["parquet's", 9007199254740993n, "9007199254740993", null],
    ["a list of one", ["5"], "5", null],
    ["a list of several", ["1", "234"], "1, 234", "answer is not a number"],
    ["numbers in a list", [1, 234], "1, 234", "answer is not a number"],
    ["an object", { value: 5 }, "", "no answer"],
    ["an object with a text's name", { toString: 1 }, "", "no answer"],
    ["a list with an object", ["1", {}], "", "no answer"],
    ["nothing", null, "", "no answer"],
  ])("%s", (_, answer, text, reason) => {
    const row = one({ problem: "p", answer });
    expect(row.answer).toBe(text);
    expect(unusable(row)).toBe(reason);
  });

  test("a problem that is an object is none", () => {
    expect(unusable(one({ problem: { toString: 1 }, answer: "4" }))).toBe("no problem");
  });
});

test.each([
  ["UTF-16", [0xff, 0xfe, 0x7b, 0, 0x7d, 0], /expected UTF-8, got UTF-16; save it as UTF-8$/],
  ["Latin-1", Array.from('{"problem": "caf\xe9", "answer": "4"}', (c) => c.charCodeAt(0)), /got bytes that are none/],
])("a data set in %s is refused", async (_, bytes, message) => {
  const files = { ...nodeFiles, read: () => Promise.resolve(Uint8Array.from(bytes)) };
  for (const name of ["set.jsonl", "set.json"]) await expect(readRows({ files }, name)).rejects.toThrow(message);
});

test.each(["snappy", "gzip", "brotli", "zstd", "lz4"])("parquet compressed by %s", async (codec) => {
  const path = (name: string) => fileURLToPath(new URL(`../fixtures/parquet/${name}.parquet`, import.meta.url));
  const rows = await readRows({ files: nodeFiles }, path(codec));
  expect(rows.length).toBeGreaterThan(0);
  expect(rows).toEqual(await readRows({ files: nodeFiles }, path("snappy")));
  expect(Object.keys(rows[0]!).length).toBeGreaterThan(1);
});
