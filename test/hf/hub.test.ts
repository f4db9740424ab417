import { createHash } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PithError } from "../../src/errors.ts";
import { resolveDataFiles, resolveModelDir } from "../../src/hf/hub.ts";
import { nodeFiles } from "../../src/runtime/files-node.ts";
import { temporaryFolder } from "./temporary.ts";

const root = temporaryFolder();
const SHA = "0123456789abcdef0123456789abcdef01234567";
const REPOSITORY: Record<string, string> = {
  "config.json": '{"model_type":"qwen2"}',
  "tokenizer.json": "{}",
  "model-00001-of-00001.safetensors": "weights",
  "pytorch_model.bin": "the same weights again",
  "README.md": "# A model",
};
const DATASET: Record<string, string> = {
  "main/train-00000-of-00001.parquet": "train",
  "main/test-00001-of-00002.parquet": "second",
  "main/test-00000-of-00002.parquet": "first",
  "socratic/test-00000-of-00001.parquet": "other",
  "main/test.jsonl": "the same rows again",
  "README.md": "# Data",
};
const oid = (text: string) => createHash("sha1").update(text).digest("hex");

/** A hub on this machine: the few paths that a download asks for. */
let server: Server;
let hubUrl: string;
const served: string[] = [];

beforeAll(async () => {
  server = createServer((request, response) => {
    const url = decodeURIComponent(request.url!.split("?")[0]!);
    const json = (value: unknown, status = 200) =>
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
    const repository = url.includes("/datasets/") ? DATASET : REPOSITORY;
    const entries = Object.entries(repository).map(([path, text]) => ({
      type: "file",
      path,
      size: text.length,
      oid: oid(text),
    }));
    const path = new RegExp(`/owner/(?:model|data)/resolve/${SHA}/(.*)`).exec(url)?.[1];
    const api = /^\/api\/(?:models\/owner\/model|datasets\/owner\/data)(\/.*)$/.exec(url)?.[1] ?? "";
    if (api === "/revision/main") json({ _id: "1", id: "owner/model", sha: SHA });
    else if (api === `/tree/${SHA}`) json(entries);
    else if (api.startsWith("/paths-info/")) {
      let body = "";
      request.on("data", (chunk) => (body += chunk));
      request.on("end", () => {
        const { paths } = JSON.parse(body) as { paths: string[] };
        json(entries.filter((entry) => paths.includes(entry.path)));
      });
    } else if (path !== undefined && repository[path] !== undefined) {
      const text = repository[path];
      served.push(path);
      const [, from, to] = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? "") ?? [];
      const headers = { etag: `"${oid(text)}"`, "accept-ranges": "bytes" };
      if (from === undefined) response.writeHead(200, headers).end(text);
      else {
        const end = Math.min(to ? Number(to) + 1 : text.length, text.length);
        response.writeHead(206, { ...headers, "content-range": `bytes ${from}-${end - 1}/${text.length}` });
        response.end(text.slice(Number(from), end));
      }
    } else json({ error: "Repository not found" }, 404);
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  hubUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(() => void server.close());

describe("a model's folder", () => {
  test("a folder is itself", async () => {
    expect(await resolveModelDir(nodeFiles, root)).toBe(root);
  });

  test.each(["", "no-such-folder", "../other/model", "./x", "a/b/c", "../x", "/abs/x"])(
    "%j is neither a folder nor a hub id",
    async (name) => {
      await expect(resolveModelDir(nodeFiles, name, { hubUrl })).rejects.toThrow(/got neither/);
    },
  );

  test("a hub id: what a model needs is downloaded once, and serves without a network", async () => {
    const cacheDir = `${root}/cache`;
    const progress: unknown[] = [];
    const options = { cacheDir, hubUrl, onProgress: (p: unknown) => progress.push(p) };
    const dir = await resolveModelDir(nodeFiles, "owner/model", options);
    expect(await nodeFiles.list(dir)).toEqual(["config.json", "model-00001-of-00001.safetensors", "tokenizer.json"]);
    expect(await nodeFiles.readText(`${dir}/model-00001-of-00001.safetensors`)).toBe("weights");
    expect(progress.at(-1)).toEqual({ file: "model-00001-of-00001.safetensors", doneBytes: 24, totalBytes: 31 });

    const before = served.length;
    expect(await resolveModelDir(nodeFiles, "owner/model", { cacheDir, hubUrl })).toBe(dir);
    expect(served.length).toBe(before);

    const offline = { cacheDir, hubUrl: "http://127.0.0.1:1" };
    expect(await resolveModelDir(nodeFiles, "owner/model", offline)).toBe(dir);
    const error: unknown = await resolveModelDir(nodeFiles, "owner/other", offline).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(PithError);
    expect((error as PithError).message).toMatch(/^owner\/other: .*cannot be reached/);
  });

  test("a repository that is not there, or not for us", async () => {
    await expect(resolveModelDir(nodeFiles, "owner/absent", { cacheDir: `${root}/c`, hubUrl })).rejects.toThrow(
      /no such model for you \(status 404\).*HF_TOKEN/,
    );
  });
});

describe("a data set's files", () => {
  test.each([`${root}/rows.jsonl`, "rows.parquet", "owner/rows.json", "/abs/owner", "../x/y"])(
    "%s is itself",
    async (name) => {
      expect(await resolveDataFiles(nodeFiles, name, { hubUrl })).toEqual([name]);
    },
  );

  test("a split of a folder: its parts in order, downloaded once, and there without a network", async () => {
    const options = { cacheDir: `${root}/data`, hubUrl };
    const paths = await resolveDataFiles(nodeFiles, "owner/data/main:test", options);
    expect(await Promise.all(paths.map((path) => nodeFiles.readText(path)))).toEqual(["first", "second"]);
    const [train] = await resolveDataFiles(nodeFiles, "owner/data/main", options);
    expect(await nodeFiles.readText(train!)).toBe("train");

    const offline = { ...options, hubUrl: "http://127.0.0.1:1" };
    expect(await resolveDataFiles(nodeFiles, "owner/data/main:test", offline)).toEqual(paths);
    await expect(resolveDataFiles(nodeFiles, "owner/data/socratic:test", offline)).rejects.toThrow(/cannot be reached/);
  });

  test.each([
    ["owner/data:test", /several sets \(main\/, socratic\/\); name one, such as owner\/data\/main:test/],
    ["owner/data:valid", /no parquet, jsonl or json file of a split valid.*main\/train-00000-of-00001.parquet/],
    ["owner/absent", /no such dataset for you \(status 404\)/],
  ])("%s is refused in one line", async (name, message) => {
    const error: unknown = await resolveDataFiles(nodeFiles, name, { cacheDir: `${root}/e`, hubUrl }).catch((e) => e);
    expect(error).toBeInstanceOf(PithError);
    expect((error as PithError).message).toMatch(message);
    expect((error as PithError).message).not.toContain("\n");
  });
});
