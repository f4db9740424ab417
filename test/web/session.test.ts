import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { packFolder, unpackFolder } from "../../web/session/archive.ts";
import { downloadModel } from "../../web/session/hub.ts";
import { Problems } from "../../web/session/problems.ts";
import { Runs } from "../../web/session/runs.ts";
import { BlobFiles } from "../../web/storage/blob-files.ts";
import { planningGpu } from "../../src/gpu/planning-gpu.ts";
import { nodeFiles } from "../../src/runtime/files-node.ts";
import { keptRun, RUN } from "./kept-run.ts";

const REASONER = new URL("../../models/reasoner", import.meta.url).pathname;

test("stored files that are empty, cut or of something else are named and skipped; the rest is read", async () => {
  for (const broken of ["", '{"id":"abc","na', "[]", JSON.stringify({ ...RUN, id: "../abc" })]) {
    const files = await keptRun();
    await keptRun(files, { ...RUN, id: "other" });
    await files.write("runs/abc/run.json", broken);
    await files.write("base/models/reasoner/arithmetic.json", broken);
    await files.write("problems/mine.jsonl", broken);
    await files.write("task.txt", "mine.jsonl");
    const said: string[] = [];
    const runs = new Runs(files, (message) => said.push(message));
    expect((await runs.list()).map(({ id }) => id)).toEqual(["other"]);
    expect(await runs.base("models/reasoner", "arithmetic")).toBe(null);
    const problems = new Problems(files);
    await problems.restore((message) => said.push(message));
    expect(problems.info.name).toBe("arithmetic");
    for (const name of ["runs/abc/run.json", "base/models/reasoner/arithmetic.json", "mine.jsonl"])
      expect(said.join()).toContain(name);

    await files.write("runs/other/metrics.jsonl", '{"step":1}\nnull\n');
    expect((await runs.view("other", 2)).metrics).toEqual([]);
    expect(said.at(-1)).toContain("runs/other");
  }
});

test("a file of problems that is refused leaves the one of its name; what is no sum is left out and counted", async () => {
  const files = new BlobFiles();
  const problems = new Problems(files);
  const rows = (list: string[]) =>
    new Blob([list.map((problem) => JSON.stringify({ problem, answer: "3" })).join("\n")]);
  const info = await problems.add("mine.jsonl", rows(["1+2=?", "2+1=?", "If Ann has 3 apples, how many?"]));
  expect(info).toMatchObject({ name: "mine.jsonl", numTrain: 1, numTest: 1 });
  expect(Object.values(info.dropped)).toEqual([1]);
  await expect(problems.add("mine.jsonl", rows(["How many?", "How much?"]))).rejects.toThrow("got 0 among 2 problems");
  expect(await files.readText("problems/mine.jsonl")).toContain("1+2=?");
  expect(problems.info).toEqual(info);
});

test("a run goes through its file whole, under an id of its own; of a stranger's file nothing else is taken", async () => {
  const packed = await packFolder(await keptRun(), "runs/abc");
  const files = new BlobFiles();
  const runs = new Runs(files, () => {});
  const run = await runs.add("run.tar.gz", await unpackFolder("run.tar.gz", packed));
  expect(run).toEqual({ ...RUN, id: run.id });
  expect(run.id).not.toBe(RUN.id);
  expect(await runs.list()).toEqual([run]);
  expect(await files.read(`runs/${run.id}/model/model.safetensors`)).toEqual(Uint8Array.of(1, 2, 3));
  const view = await runs.view(run.id, 2);
  expect(view.metrics.map(({ iteration, accuracy }) => [iteration, accuracy])).toEqual([
    [1, 0.5],
    [2, 0.75],
  ]);
  expect(view.completions.map(({ length }) => length)).toEqual([20, 21, 22, 23, 24, 25, 26, 27]);
  expect(view.frames.map(({ step, pieces }) => [step, pieces.length])).toEqual([
    [0, 3],
    [2, 2],
  ]);

  const hostile = await keptRun();
  await hostile.write("runs/abc/index.html", "<script>");
  await hostile.write("runs/abc/run.json", JSON.stringify({ ...RUN, id: "../../x", created: "<b>" }));
  const contents = await unpackFolder("x", await packFolder(hostile, "runs/abc"));
  expect([...contents.keys()]).not.toContain("index.html");
  await expect(runs.add("x", contents)).rejects.toThrow("run.json is not a run's");
  await expect(unpackFolder("x", new Blob(["PK"]))).rejects.toThrow("expected a run that this page exported");
  expect((await runs.list()).length).toBe(1);
});

let server: Server | null = null;
afterEach(() => {
  server?.close();
  server?.closeAllConnections();
  server = null;
});

test("a model that is kept is not refused for want of room; a cut one is fetched again", async () => {
  const names = ["config.json", "tokenizer.json", "model.safetensors"];
  const contents = new Map(
    await Promise.all(names.map(async (name) => [name, await nodeFiles.read(`${REASONER}/${name}`)] as const)),
  );
  const asked: string[] = [];
  server = createServer(({ url }, response) => {
    asked.push(url!.slice(url!.lastIndexOf("/") + 1));
    const file = contents.get(asked.at(-1)!);
    const entries = Array.from(contents, ([path, { length: size }]) => ({
      type: "file",
      path,
      size,
      oid: "0".repeat(40),
    }));
    response.end(file ?? JSON.stringify(entries));
  });
  await new Promise<void>((resolve) => server!.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const files = new BlobFiles();
  const get = (room: number) =>
    downloadModel(files, planningGpu(), "owner/model", { url, room: async () => room }, () => {});
  const size = Array.from(contents.values()).reduce((sum, { length }) => sum + length, 0);
  await expect(get(size - 1)).rejects.toThrow("this browser's storage");
  const dir = await get(size);
  expect(await files.read(`${dir}/model.safetensors`)).toEqual(contents.get("model.safetensors"));
  expect(await get(0)).toBe(dir);
  await files.truncate(`${dir}/tokenizer.json`, 10);
  asked.length = 0;
  await get(size);
  expect(asked).toEqual(["main", "tokenizer.json"]);
});
