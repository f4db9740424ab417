import { expect, test } from "vitest";
import { isOwnMachine, isSafeForStrangers, requireSafe } from "../../src/fleet/gate/version.ts";
import { Trust } from "../../src/fleet/gate/trust.ts";
import type { Probe } from "../../src/fleet/kind.ts";

const OWN: Probe = {
  tokenIds: Uint32Array.from({ length: 576 }, (_, i) => i % 14),
  logprobs: Float32Array.from({ length: 1000 }, (_, i) => -1 - (i % 7)),
};
/** Log-probabilities of which 6% differ by 1e-4, as SwiftShader's do from lavapipe's. */
const OTHER: Probe = { ...OWN, logprobs: OWN.logprobs.map((value, i) => (i % 16 === 0 ? value + 1e-4 : value)) };

const agreement = (tokens: number, drawnOtherwise: number, logprobsOtherwise: number, each = 1e-4) => ({
  tokens,
  drawnOtherwise,
  logprobsOtherwise,
  difference: logprobsOtherwise * each,
});

test("of the gate's own kind every token and every bit is expected", () => {
  const trust = new Trust(OWN, OWN);
  expect([trust.isSameKind, trust.obstacle]).toEqual([true, ""]);
  expect(trust.add(agreement(40, 0, 0))).toBe("");
  expect(trust.add(agreement(40, 3, 9))).toBe("3 of 40 tokens are drawn otherwise");
  expect(trust.add(agreement(40, 0, 1))).toBe("1 of 40 log-probabilities have other bits");
});

test("of another kind what its probe showed is expected, and one token in a thousand forgiven", () => {
  const trust = new Trust(OWN, OTHER);
  expect([trust.isSameKind, trust.obstacle]).toEqual([false, ""]);
  expect(new Trust(OWN, OTHER).add(agreement(40, 1, 2))).toBe("1 of 40 tokens are drawn otherwise");
  for (let i = 0; i < 30; i++) expect(trust.add(agreement(40, 0, 3))).toBe("");
  expect(trust.add(agreement(40, 1, 3))).toBe("");
  expect(trust.add(agreement(40, 1, 3))).toMatch(/^2 of 1280 tokens are drawn otherwise/);
  // Older weights: the same tokens, half of the log-probabilities of other bits.
  const older = new Trust(OWN, OTHER);
  expect(older.add(agreement(500, 0, 250))).toBe("");
  expect(older.add(agreement(500, 0, 250))).toMatch(/^500 of 1000 log-probabilities have other bits, more than 30%/);
  const edited = new Trust(OWN, OTHER);
  expect(edited.add(agreement(600, 0, 40, 1e-2))).toMatch(/differ by 6.7e-4 in the mean, more than 1.9e-5/);
  const far = { ...OWN, logprobs: OWN.logprobs.map((value) => value - 0.01) };
  expect(new Trust(OWN, far).obstacle).toMatch(/differ by 1.0e-2 in the mean/);
});

test("a server is opened to others from the versions on that a stranger cannot end", () => {
  const safe = ["2.12.12", "2.12.20", "2.14.3", "2.15.1", "2.16.0", "3.0.0"];
  const old = ["2.9.10", "2.10.27", "2.11.15", "2.12.11", "2.13.0", "2.14.2", "x", ""];
  expect(safe.filter((version) => !isSafeForStrangers(version))).toEqual([]);
  expect(old.filter(isSafeForStrangers)).toEqual([]);
  expect(() => requireSafe("2.9.10", "0.0.0.0:80")).toThrow(
    /expected nats-server 2.12.12, 2.14.3 or newer.*got 2.9.10/,
  );
  for (const host of ["localhost", "localhost:80", "a.localhost:1", "127.0.0.1:8080", "[::1]:80"])
    expect(isOwnMachine(host), host).toBe(true);
  for (const host of ["", "lab.example", "10.0.0.1:80", "localhost.example", "127.0.0.1.example:80", "0.0.0.0"])
    expect(isOwnMachine(host), host).toBe(false);
});
