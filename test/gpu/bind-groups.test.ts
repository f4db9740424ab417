import { expect, test } from "vitest";
import { BindGroups } from "../../src/gpu/bind-groups.ts";

const group = (label: string) => ({ label }) as GPUBindGroup;

test("what is asked for again and again stays, what is not goes", () => {
  const groups = new BindGroups();
  const kept = group("kept");
  groups.set("kept", kept);
  let misses = 0;
  for (let i = 0; i < 200_000; i++) {
    if (i % 1000 === 0) groups.set(`once ${i}`, group("once"));
    if (groups.get("kept") !== kept) misses++;
  }
  expect(misses).toBe(0);
  const once = Array.from({ length: 200 }, (_, i) => groups.get(`once ${1000 * i}`));
  expect(once.filter((one) => one !== undefined).length).toBeLessThan(20); // those of the last two periods
});

test("what was just made is there for a whole period, whenever it was made", () => {
  const groups = new BindGroups();
  for (let i = 0; i < 10_000; i++) {
    const made = group(`${i}`);
    groups.set(`${i}`, made);
    for (let other = 0; other < 9; other++) groups.get("none");
    expect(groups.get(`${Math.max(0, i - 700)}`)?.label).toBe(`${Math.max(0, i - 700)}`);
  }
});
