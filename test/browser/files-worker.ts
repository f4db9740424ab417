import { opfsTuning } from "../../src/runtime/tuning-opfs.ts";
import { OpfsFiles } from "../../src/runtime/files-opfs.ts";
import { filesScenario } from "./files-scenario.ts";

/** Runs in a worker of a real browser: the scenario, then a rename that a closed tab cut off after it was noted down, and tables of tiles. */
async function run(): Promise<unknown> {
  const files = (await OpfsFiles.open("test"))!;
  const seen = await filesScenario(files, "dir");

  await files.write("run/.unfinished_step/model", "weights");
  await files.write("run/.unfinished_step/state", "1");
  await files.write(".renaming.json", JSON.stringify({ from: "run/.unfinished_step", to: "run/step" }));
  const again = (await OpfsFiles.open("test"))!;
  const finished = [await again.list("run"), await again.list("run/step"), await again.readText("run/step/model")];

  // Cut off while it was being noted down: nothing has happened yet, and nothing does.
  await again.write("run/other/model", "x");
  await again.write(".renaming.json", '{"from": "run/oth');
  const third = (await OpfsFiles.open("test"))!;

  // A disk without room, within a file: what was there stays, and nothing where nothing was.
  const { write } = FileSystemWritableFileStream.prototype;
  let room = 1;
  FileSystemWritableFileStream.prototype.write = async function (chunk) {
    if (room-- === 0) throw new DOMException("full", "QuotaExceededError");
    await write.call(this, chunk);
  };
  const halves = ["half of ", "the new text"].map((text) => new TextEncoder().encode(text));
  await third.append("full/old", "the old text");
  const errors: string[] = [];
  for (const name of ["old", "new"]) {
    room = 1;
    await third.write(`full/${name}`, halves).catch((error: Error) => errors.push(error.message));
  }
  FileSystemWritableFileStream.prototype.write = write;
  const full = { errors, list: await third.list("full"), old: await third.readText("full/old") };

  const tables = [await opfsTuning.read("gpu.json")];
  for (const text of ["a longer text", "short"]) {
    await opfsTuning.write("gpu.json", text);
    tables.push(await opfsTuning.read("gpu.json"));
  }
  return {
    seen,
    finished,
    full,
    untouched: await third.list("run"),
    journal: await third.exists(".renaming.json"),
    tables,
  };
}

void run().then(
  (result) => postMessage(result),
  (error: Error) => postMessage({ error: `${error.name}: ${error.message}` }),
);
