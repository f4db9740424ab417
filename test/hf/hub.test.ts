import { createHash } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PithError } from "../../src/errors.ts";
import { resolveModelDir } from "../../src/hf/hub.ts";
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
    const entries = Object.entries(REPOSITORY).map(([path, text]) => ({
      type: "file",
      path,
      size: text.length,
      oid: oid(text),
    }));
    const path = url.split(`/owner/model/resolve/${SHA}/`)[1];
    if (url === "/api/models/owner/model/revision/main") json({ _id: "1", id: "owner/model", sha: SHA });
    else if (url === `/api/models/owner/model/tree/${SHA}`) json(entries);
    else if (url.startsWith("/api/models/owner/model/paths-info/")) {
      let body = "";
      request.on("data", (chunk) => (body += chunk));
      request.on("end", () => {
        const { paths } = JSON.parse(body) as { paths: string[] };
        json(entries.filter((entry) => paths.includes(entry.path)));
      });
    } else if (path !== undefined && REPOSITORY[path] !== undefined) {
      const text = REPOSITORY[path];
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
