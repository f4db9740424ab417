import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Gpu } from "../../src/gpu/gpu.ts";
import { tuningShape } from "../../src/gpu/tuning.ts";
import { diskTuning } from "../../src/runtime/tuning-disk.ts";
import { loadTuning, saveTuning } from "../../src/runtime/tuning.ts";
import { plannedMatrices } from "../helpers/planned-gpu.ts";
import { testGpu } from "../helpers/gpu.ts";

const TUNING = new Map([[tuningShape("linear_forward", 1, 1536), 1]]);

let cache: string;
const before = process.env["XDG_CACHE_HOME"];
beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), "pith-cache-"));
  process.env["XDG_CACHE_HOME"] = cache;
});
afterEach(() => {
  rmSync(cache, { recursive: true });
  if (before === undefined) delete process.env["XDG_CACHE_HOME"];
  else process.env["XDG_CACHE_HOME"] = before;
});

/** A device after its start, and what was said in it. */
async function opened(gpu: Gpu = plannedMatrices()): Promise<{ gpu: Gpu; notes: string[] }> {
  const notes: string[] = [];
  await loadTuning(gpu, diskTuning, (line) => notes.push(line));
  return { gpu, notes };
}

async function kept(): Promise<string> {
  const gpu = plannedMatrices();
  gpu.tuning = TUNING;
  return saveTuning(gpu, diskTuning);
}

test("what was measured is there at the next start, on the same adapter alone", async () => {
  expect(await opened()).toMatchObject({ gpu: { tuning: null }, notes: [] });
  const path = await kept();
  expect(readdirSync(join(cache, "pith"))).toEqual([path.slice(path.lastIndexOf("/") + 1)]);
  const again = await opened();
  expect(again.gpu.tuning).toEqual(TUNING);
  expect(again.notes).toEqual([]);
  expect(await opened(plannedMatrices({ description: "NVIDIA: 570.86" }))).toMatchObject({
    gpu: { tuning: null },
    notes: [],
  });
});

test("a table cut short is left alone, and a line says so", async () => {
  const path = await kept();
  const text = readFileSync(path, "utf8");
  writeFileSync(path, text.slice(0, text.length / 2));
  const { gpu, notes } = await opened();
  expect(gpu.tuning).toBeNull();
  expect(notes).toEqual([expect.stringMatching(/pith\/nvidia-.*\.json is not used: expected JSON, got .*measure/)]);
  await kept();
  expect((await opened()).gpu.tuning).toEqual(TUNING);
});

test("a table of other kernels is left alone, and a line says so", async () => {
  const path = await kept();
  const table = JSON.parse(readFileSync(path, "utf8")) as { key: { kernel: string } };
  expect(table.key.kernel).toMatch(/^[0-9a-f]{16}$/);
  table.key.kernel = "0000000000000000";
  writeFileSync(path, JSON.stringify(table));
  const { gpu, notes } = await opened();
  expect(gpu.tuning).toBeNull();
  expect(notes).toEqual([expect.stringContaining("is not used: expected a table for kernel ")]);
});

test("a cache that cannot be read does not keep a device from starting", async () => {
  mkdirSync(await kept().then((path) => (rmSync(path), path)));
  const { gpu, notes } = await opened();
  expect(gpu.tuning).toBeNull();
  expect(notes).toEqual([expect.stringContaining("is a folder, expected a file")]);
});

test("devices without a choice have no table", async () => {
  const gpu = await testGpu("baseline");
  const nowhere = { ...diskTuning, read: () => Promise.reject(new Error("expected not to be read")) };
  const notes: string[] = [];
  await loadTuning(gpu, nowhere, (line) => notes.push(line));
  expect([gpu.tuning, notes]).toEqual([null, []]);
});
