import { expect, test } from "vitest";
import { advance, keptTokens, pickToken, scores } from "../../src/reference/sample.ts";
import { f64 } from "../helpers/gpu.ts";

// Probabilities 0.4, 0.3, 0.2, 0.1 out of order.
const z = f64([0.2, 0.4, 0.1, 0.3].map(Math.log));
const kept = (topK: number, topP: number, values = z, minP = 0) =>
  keptTokens({ z: values, topK, topP, minP }).flatMap((keep, token) => (keep ? [token] : []));

test("top-k and top-p", () => {
  expect(kept(0, 1)).toEqual([0, 1, 2, 3]);
  expect(kept(2, 1)).toEqual([1, 3]);
  expect(kept(9, 1)).toEqual([0, 1, 2, 3]);
  expect(kept(0, 0.35)).toEqual([1]);
  expect(kept(0, 0.45)).toEqual([1, 3]);
  expect(kept(0, 0.75)).toEqual([0, 1, 3]);
  // Among the two largest, the first has 4/7 of the probability.
  expect(kept(2, 0.56)).toEqual([1]);
  expect(kept(2, 0.58)).toEqual([1, 3]);
});

test("min-p goes by the most probable token", () => {
  expect(kept(0, 1, z, 0.24)).toEqual([0, 1, 2, 3]);
  expect(kept(0, 1, z, 0.26)).toEqual([0, 1, 3]);
  expect(kept(0, 1, z, 0.76)).toEqual([1]);
  expect(kept(0, 1, z, 1)).toEqual([1]);
  expect(kept(2, 1, z, 0.26)).toEqual([1, 3]);
  expect(kept(0, 0.45, z, 0.76)).toEqual([1]);
});

test("what is equal to the last kept token is kept", () => {
  const ties = f64([1, 2, 1, 1, 0]);
  expect(kept(2, 1, ties)).toEqual([0, 1, 2, 3]);
  expect(kept(0, 0.6, ties)).toEqual([0, 1, 2, 3]);
});

test("greedy picks the lowest of equals", () => {
  const ties = f64([1, 5, 5, 2]);
  const key = [0, 0, 0, 0];
  expect(pickToken(scores({ z: ties, greedy: true, key, position: 0 }), [true, true, true, true])).toBe(1);
  expect(pickToken(ties, [true, false, true, true])).toBe(2);
});

test("a row stops at a stop token or at its limit, and then stands still", () => {
  const row = { token: 7, position: 3, done: false };
  const options = { drawn: 9, stops: [4, 5], limit: 5 };
  expect(advance(row, options)).toEqual({ token: 9, position: 4, done: false });
  expect(advance(row, { ...options, drawn: 5 })).toEqual({ token: 5, position: 4, done: true });
  expect(advance(row, { ...options, limit: 4 })).toEqual({ token: 9, position: 4, done: true });
  expect(advance({ ...row, done: true }, options)).toEqual({ token: 7, position: 3, done: true });
});
