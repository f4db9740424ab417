import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parquetRowsInThread } from "../../src/runtime/parquet-thread.ts";

const whole = new Uint8Array(readFileSync(new URL("../fixtures/parquet/snappy.parquet", import.meta.url)));

test("a file that is not read in time is given up, and the next one read", async () => {
  // The first of this process: the thread has to begin, which takes many times as long whatever else runs.
  await expect(parquetRowsInThread(whole, "a.parquet", 0.0001)).rejects.toThrow(
    /a.parquet: expected to be read within/,
  );
  expect(await parquetRowsInThread(whole, "a.parquet", 60)).toHaveLength(2000);
});

test("a thread reads one file after another, also after one that is none", async () => {
  expect(await parquetRowsInThread(whole, "a.parquet", 60)).toHaveLength(2000);
  await expect(parquetRowsInThread(whole.slice(9), "b.parquet", 60)).rejects.toThrow(/^b.parquet: /);
  expect(await parquetRowsInThread(whole, "a.parquet", 60)).toHaveLength(2000);
});
