import { expect, test } from "vitest";
import { parseConfig } from "../../src/run/config.ts";
import { RunFolder } from "../../src/run/run-folder.ts";
import { keepSteps } from "../../src/train/keep.ts";
import { latestCheckpoint, pruneCheckpoints } from "../../src/train/checkpoint.ts";
import type { Files } from "../../src/runtime/types.ts";
import { BlobFiles } from "../../web/storage/blob-files.ts";
import { OverflowFiles } from "../../web/storage/overflow-files.ts";
import { filesScenario } from "../browser/files-scenario.ts";
import { LimitedFiles } from "./limited-files.ts";

test("files that overflow into memory do what others do, at whichever write the disk is full", async () => {
  const expected = await filesScenario(new BlobFiles(), "dir");
  const counted = new LimitedFiles(Infinity);
  await filesScenario(counted, "dir");
  expect(counted.writes).toBeGreaterThan(5);
  for (let room = 0; room <= counted.writes; room++) {
    const said: string[] = [];
    const files = new OverflowFiles(new LimitedFiles(room), (message) => said.push(message));
    expect(await filesScenario(files, "dir"), `room for ${room}`).toEqual(expected);
    expect(said.length).toBe(room < counted.writes ? 1 : 0);
  }
});

const STEPS = 3;
const CONTENT = (step: number) => JSON.stringify({ step, num_tokens: 10 * step });

/** A run as the trainers keep one, whose model is a line of text. */
async function run(files: Files): Promise<void> {
  const config = parseConfig({ train: { output_dir: "runs/a", save_every: 1, save_total_limit: 1 } });
  const folder = await RunFolder.open(files, config, "train", () => {});
  const state = { step: 0, num_tokens: 0 };
  const save = async () => {
    const path = `${folder.checkpoints}/step_${String(state.step).padStart(6, "0")}`;
    await files.write(`${path}_aside/weights`, CONTENT(state.step));
    await files.write(`${path}_aside/trainer_state.json`, CONTENT(state.step));
    await files.rename(`${path}_aside`, path);
    return path;
  };
  const prune = (limit: number) => pruneCheckpoints(files, folder.checkpoints, limit);
  const steps = (async function* () {
    for (let step = 1; step <= STEPS; step++) yield step;
  })();
  const record = (step: number) => ({ step, metrics: { num_tokens: 10 }, completions: [], isLast: step === STEPS });
  const progress = { state, save, prune } as unknown as Parameters<typeof keepSteps>[2];
  const { signal } = new AbortController();
  for await (const _ of keepSteps(steps, record, progress, folder, { signal }));
}

test("a quota exceeded at every write of a run in turn: the run goes on, and the disk keeps a whole state", async () => {
  const counted = new LimitedFiles(Infinity);
  await run(counted);
  expect(counted.writes).toBeGreaterThan(20);
  for (let room = 0; room < counted.writes; room++) {
    const disk = new LimitedFiles(room);
    let full = 0;
    const files = new OverflowFiles(disk, () => full++);
    await run(files);
    expect(full, `room for ${room}`).toBe(1);
    const here = await latestCheckpoint(files, "runs/a/checkpoints");
    expect(await files.readText(`${here}/trainer_state.json`)).toBe(CONTENT(STEPS));
    expect((await (await RunFolder.read(files, "runs/a")).readMetrics()).map((row) => row["step"])).toEqual([1, 2, 3]);

    // What the next visit finds.
    const left = await latestCheckpoint(disk, "runs/a/checkpoints");
    if (left === null) continue;
    const step = Number(left.slice(-1));
    for (const name of ["weights", "trainer_state.json"])
      expect(await disk.readText(`${left}/${name}`)).toBe(CONTENT(step));
    const rows = await (await RunFolder.read(disk, "runs/a")).readMetrics();
    expect(rows.length).toBeGreaterThanOrEqual(step);
  }
});
