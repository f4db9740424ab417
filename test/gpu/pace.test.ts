import { expect, test } from "vitest";
import { Pace } from "../../src/gpu/pace.ts";

/** A device that takes `rate` seconds a byte, one submit after the other, and a clock. */
function device(rate: number) {
  let now = 0;
  const done: (() => void)[] = [];
  const pace = new Pace(() => now);
  return {
    pace,
    /** Sends submits of the largest size that is not yet enough, all that are under way at once. */
    async send(submits: number) {
      const sizes = Array.from({ length: submits }, () => largest(pace));
      for (const bytes of sizes) pace.sent(bytes, 1, () => new Promise<void>((resolve) => done.push(resolve)));
      const wasBusy = pace.isBusy;
      for (const bytes of sizes.slice(0, done.length)) {
        now += bytes * rate;
        done.shift()!();
        await new Promise((resolve) => setTimeout(resolve));
      }
      return { seconds: sizes[0]! * rate, wasBusy };
    },
  };
}

/** Bytes of a submit of one dispatch that is just long enough. */
function largest(pace: Pace): number {
  let bytes = 1;
  while (!pace.isEnough(bytes, 1)) bytes *= 1.1;
  return bytes;
}

test.each([1e-7, 1e-9, 1e-12])("submits come to about a twentieth of a second, at %s seconds a byte", async (rate) => {
  const { send } = device(rate);
  for (let i = 0; i < 100; i++) await send(1);
  const { seconds } = await send(1);
  expect(seconds).toBeGreaterThan(0.03);
  expect(seconds).toBeLessThan(0.06);
});

test("a device that has become slow is given less with the next submit", async () => {
  let rate = 1e-10;
  let now = 0;
  const pace = new Pace(() => now);
  const send = async () => {
    const bytes = largest(pace);
    pace.sent(bytes, 1, async () => void (now += bytes * rate));
    await new Promise((resolve) => setTimeout(resolve));
    return bytes * rate;
  };
  for (let i = 0; i < 100; i++) await send();
  rate = 1e-9;
  expect(await send()).toBeGreaterThan(0.3);
  expect(await send()).toBeLessThan(0.06);
});

test("half a second under way is busy, and nothing is once it is done", async () => {
  const { send, pace } = device(1e-9);
  for (let i = 0; i < 60; i++) await send(1);
  expect((await send(5)).wasBusy).toBe(false);
  expect((await send(15)).wasBusy).toBe(true);
  expect(pace.isBusy).toBe(false);
});

test("many dispatches of few bytes are enough too, and short submits are not timed", () => {
  const pace = new Pace(() => 0);
  expect(pace.isEnough(100, 1)).toBe(false);
  expect(pace.isEnough(100, 100_000)).toBe(true);
  let timed = 0;
  pace.sent(100, 1, async () => void timed++);
  expect(timed).toBe(0);
});
