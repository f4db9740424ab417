import { describe, expect, test } from "vitest";
import { FormatError } from "../../src/errors.ts";
import { brief, parseJson } from "../../src/hf/json.ts";

describe("JSON", () => {
  test.each<[string, unknown]>([
    ["9007199254740993", "9007199254740993"],
    ["[123456789012345670, 12]", ["123456789012345670", 12]],
    ["-9007199254740993", "-9007199254740993"],
    ["9007199254740992", 9007199254740992],
    ["0.1234567890123456789", "0.1234567890123456789"],
    ["0.1", 0.1],
    ["1.50", 1.5],
    ["100000000000000000000", 1e20],
    ["1e3", 1000],
    ['{"answer": 12345678901234567890123, "n": 123456789}', { answer: "12345678901234567890123", n: 123456789 }],
  ])("%s loses no digit", (text, value) => {
    expect(parseJson(text, "x")).toEqual(value);
  });

  test("what is none says where and why", () => {
    expect(() => parseJson("{", "rows.jsonl: line 3")).toThrow(/^rows\.jsonl: line 3: expected JSON: /);
    expect(() => parseJson('{"answer": NaN}', "x")).toThrow(/as Python writes them, are not JSON/);
    expect(() => parseJson("{", "x")).toThrow(FormatError);
  });

  test("a message shows a value of any depth and length", () => {
    let deep: unknown = 1;
    for (let i = 0; i < 50_000; i++) deep = [deep];
    expect(brief(deep)).toBe("a value nested too deeply");
    expect(brief("x".repeat(1000))).toHaveLength(80);
    expect(brief(undefined)).toBe("undefined");
  });
});
