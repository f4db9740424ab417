import { expect, test } from "vitest";
import { text } from "../../web/text.ts";

test("one is counted as one", () => {
  for (const [one, two] of [
    [text.try.current(1), text.try.current(2)],
    [text.train.whileHidden(1), text.train.whileHidden(2)],
  ]) {
    expect(one).toMatch(/\b1 iteration\b/);
    expect(two).toMatch(/\b2 iterations\b/);
  }
});
