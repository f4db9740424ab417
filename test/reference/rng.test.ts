import { expect, test } from "vitest";
import { philox } from "../../src/core/rng.ts";
import { gumbel } from "../../src/reference/rng.ts";

const words = (hex: string) => hex.split(" ").map((word) => parseInt(word, 16));

// kat_vectors of Random123, the generator's own distribution.
test.each([
  ["00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"],
  ["ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"],
  ["243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"],
])("philox of counter %s and key %s", (counter, key, want) => {
  expect(Array.from(philox(words(counter), words(key)))).toEqual(words(want));
});

test("Gumbel noise is finite at both ends and has the distribution's quantiles", () => {
  expect(gumbel(0)).toBeCloseTo(33 * Math.LN2, 8);
  expect(gumbel(0xffffffff)).toBeCloseTo(-Math.log(24 * Math.LN2), 8);
  // P(noise > x) = 1 - exp(-exp(-x)) is the uniform that made it.
  for (const v of [0.001, 0.25, 0.5, 0.9]) {
    expect(1 - Math.exp(-Math.exp(-gumbel(v * 2 ** 32)))).toBeCloseTo(v, 12);
  }
});
