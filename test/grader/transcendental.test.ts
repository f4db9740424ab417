import { expect, test } from "vitest";
import { cos, exp, ln, pi } from "../../src/grader/formula/transcendental.ts";

const BITS = 512n;
const ONE = 1n << BITS;
const fixed = (x: number): bigint => BigInt(Math.round(x * 2 ** 40)) << (BITS - 40n);
const float = (x: bigint): number => Number(x >> (BITS - 64n)) / 2 ** 64;
const near = (a: bigint, b: bigint, units: bigint): boolean => a - b < units && b - a < units;

test("as Math has them", () => {
  expect(float(pi(BITS))).toBe(Math.PI);
  for (const x of [-20.5, -1, -0.001, 0, 0.3, 1, 12.75, 40]) {
    expect(Math.abs(float(exp(fixed(x), BITS)!) / Math.exp(x) - 1)).toBeLessThan(1e-8);
    expect(Math.abs(float(cos(fixed(x), BITS)!) - Math.cos(x))).toBeLessThan(1e-11);
    if (x > 0) expect(Math.abs(float(ln(fixed(x), BITS)) - Math.log(float(fixed(x))))).toBeLessThan(1e-14);
  }
  expect(exp(fixed(65), BITS)).toBe(null);
  expect(float(ln(ONE << 300n, BITS))).toBeCloseTo(300 * Math.LN2, 12);
});

test("to the last of 512 bits", () => {
  for (const x of [0.01, 0.7, 2, 5.5]) {
    expect(near(ln(exp(fixed(x), BITS)!, BITS), fixed(x), 1n << 8n)).toBe(true);
    const product = (exp(fixed(x), BITS)! * exp(fixed(-x), BITS)!) >> BITS;
    expect(near(product, ONE, 1n << 12n)).toBe(true);
    const square = (cos(fixed(x), BITS)! * cos(fixed(x), BITS)!) >> BITS;
    expect(near(2n * square - ONE, cos(2n * fixed(x), BITS)!, 8n)).toBe(true);
  }
  expect(near(cos(pi(BITS), BITS)!, -ONE, 4n)).toBe(true);
});
