import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { beforeStop, stopsAfter, untilStop } from "../../src/engine/stop-strings.ts";
import { judgeGroups } from "../../src/train/rollouts.ts";
import { toyTask, toyTokenizer } from "../helpers/toy.ts";

/** Token 0 says nothing, as a special one; some say several characters, one of them beyond the first plane. */
const SAYS = ["", "a", "b", "\n", "ab", "ba\n", "🙂"];
const decode = (ids: readonly number[]) => ids.map((id) => SAYS[id]!).join("");

describe("stopsAfter", () => {
  test("says so at the first token that completes a string, wherever the tokens part it", () => {
    const tokens = fc.array(fc.nat(SAYS.length - 1), { maxLength: 40 });
    const stop = fc.array(
      fc.array(fc.constantFrom("a", "b", "\n", "🙂"), { minLength: 1, maxLength: 4 }).map((s) => s.join("")),
      { minLength: 1, maxLength: 3 },
    );
    fc.assert(
      fc.property(tokens, stop, (ids, strings) => {
        const stops = stopsAfter(strings, decode);
        for (let length = 1; length <= ids.length; length++) {
          const text = decode(ids.slice(0, length));
          const ends = strings.some((string) => text.includes(string));
          expect(stops(ids.slice(0, length))).toBe(ends);
          if (ends) break;
        }
      }),
    );
  });

  test("decodes few of many tokens", () => {
    let most = 0;
    const stops = stopsAfter(["ab"], (ids) => {
      most = Math.max(most, ids.length);
      return decode(ids);
    });
    expect(stops(Array<number>(1000).fill(1))).toBe(false);
    expect(most).toBeLessThan(8);
  });
});

test("beforeStop cuts at the earliest of the strings", () => {
  expect(beforeStop("one, two. three", [".", ","])).toBe("one");
  expect(beforeStop("one", ["."])).toBe("one");
  expect(beforeStop(".", ["."])).toBe("");
});

describe("untilStop", () => {
  test("what may be the beginning of a stop string waits, and is given out when it is none", () => {
    const give = untilStop(["\n\nUser", "."]);
    expect(give("one\n", false)).toBe("one");
    expect(give("\nUs", false)).toBe("");
    expect(give("age", false)).toBe("\n\nUsage");
    expect(give(" here.", true)).toBe(" here");
  });

  test("however a text comes in pieces, what is given out is the text before the stop string", () => {
    const pieces = fc.array(fc.string({ unit: fc.constantFrom("a", "b", "\n"), maxLength: 3 }), { minLength: 1 });
    const stop = fc.array(fc.string({ unit: fc.constantFrom("a", "b", "\n"), minLength: 1, maxLength: 4 }), {
      maxLength: 2,
    });
    fc.assert(
      fc.property(pieces, stop, (texts, strings) => {
        // As the engine does: nothing comes after the piece that completes a string.
        const ends = texts.findIndex((_, i) =>
          strings.some((s) =>
            texts
              .slice(0, i + 1)
              .join("")
              .includes(s),
          ),
        );
        const drawn = ends < 0 ? texts : texts.slice(0, ends + 1);
        const give = untilStop(strings);
        const given = drawn.map((text, i) => give(text, i === drawn.length - 1)).join("");
        expect(given).toBe(beforeStop(drawn.join(""), strings));
      }),
    );
  });
});

test("a task judges what comes before the stop string, and a stop token is not part of the text", () => {
  const tokenizer = toyTokenizer();
  const task = toyTask();
  const [problem] = task.train;
  const ids = (text: string) => tokenizer.encode(text, { addSpecialTokens: false });
  const drawn = (text: string, finishReason: "stop" | "length") => {
    const tokenIds = ids(text);
    return { index: 0, tokenIds, logprobs: tokenIds.map(() => 0), finishReason };
  };
  const outputs = [drawn("a two b red", "stop"), drawn("a red two b", "stop"), drawn("a red <end>", "stop")];
  const request = { promptId: 0, promptTokenIds: ids("say red now"), problem: problem!, prompt: "say red now" };
  const [group] = judgeGroups(tokenizer, task, [request], [{ ...request, outputs }], {
    stopTokenIds: [0],
    stop: [" two b"],
  });
  expect(group!.map(({ text, correct, length }) => ({ text, correct, length }))).toEqual([
    { text: "a", correct: false, length: 4 },
    { text: "a red", correct: true, length: 4 },
    { text: "a red", correct: true, length: 3 },
  ]);
});
