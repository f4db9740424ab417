import { describe, expect, test } from "vitest";
import { selfTest } from "../../src/verify/self-test/self-test.ts";
import { Bench, type Trial } from "../../src/verify/self-test/trial.ts";
import { testGpu } from "../helpers/gpu.ts";

describe("the self-test", () => {
  test("passes, both storages and head sizes of real models among it", async () => {
    const gpu = await testGpu();
    const { usedBytes } = gpu.pool;
    const checks = await Array.fromAsync(selfTest(gpu));
    expect(checks.filter(({ pass }) => !pass)).toEqual([]);
    const names = checks.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const storage of ["f32", "bf16"])
      for (const headDim of [64, 128])
        for (const kind of ["attention", "paged attention", "decode attention", "rope"])
          expect(names).toContain(`${kind}, D ${headDim} (${storage})`);
    expect(gpu.pool.usedBytes).toBe(usedBytes);
  });

  test.each([
    { storage: "f32", off: 1e-4 },
    { storage: "bf16", off: 1e-2 },
  ] as const)("finds an output in $storage that is off by $off of itself, and NaN", async ({ storage, off }) => {
    const gpu = await testGpu();
    const worst = async (change: (x: number) => number) => {
      const scope = gpu.scope();
      const trial: Trial = { name: "copy", run: () => {} };
      const bench = new Bench(scope, storage, trial);
      const { tensor, values } = bench.input([100]);
      bench.expect(tensor, values);
      bench.expect(tensor, values.map(change));
      const result = await bench.worst(trial.name);
      scope.close();
      return result;
    };
    expect(await worst((x) => x)).toMatchObject({ error: 0, pass: true });
    expect(await worst((x) => x * (1 + off))).toMatchObject({ pass: false });
    expect(await worst(() => NaN)).toMatchObject({ error: NaN, pass: false });
  });
});
