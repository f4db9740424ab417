import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import process from "node:process";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { PithError } from "../../src/errors.ts";
import { resolveDataFiles, resolveModelDir } from "../../src/hf/hub.ts";
import { nodeFiles } from "../../src/runtime/files-node.ts";
import { temporaryFolder } from "./temporary.ts";

const root = temporaryFolder();
const checkout = new URL("../..", import.meta.url).pathname;
const tiny = (name: string) => readFileSync(`${checkout}/test/fixtures/transformers/qwen2-tied/${name}`);
const SHA = "0123456789abcdef0123456789abcdef01234567";
const WEIGHTS = "model-00001-of-00001.safetensors";
const REPOSITORIES: Record<string, Record<string, string | Buffer>> = {
  "models/owner/model": {
    "config.json": '{"model_type":"qwen2"}',
    "tokenizer.json": "{}",
    [WEIGHTS]: "weights",
    "pytorch_model.bin": "the same weights again",
    "README.md": "# A model",
  },
  "models/owner/tiny": { "config.json": tiny("config.json"), "model.safetensors": tiny("model.safetensors") },
  "datasets/owner/data": {
    "main/train-00000-of-00001.parquet": "train",
    "main/test-00001-of-00002.parquet": "second",
    "main/test-00000-of-00002.parquet": "first",
    "socratic/test-00000-of-00001.parquet": "other",
    "main/test.jsonl": "the same rows again",
    "README.md": "# Data",
  },
};

/** A hub on this machine: the few paths that a download asks for. */
let server: Server;
let hubUrl: string;
const served: string[] = [];
const hub = {
  /** What it answers instead, where that is an error. */
  status: 200,
  /** What happens to the weights: they come, the connection ends in their middle or before them, or they are one byte short. */
  weights: "whole" as "whole" | "broken off" | "refused" | "short",
  authorization: undefined as string | undefined,
  /** What it says in place of the truth. */
  lies: {} as { sha?: unknown; oid?: string; etag?: string; next?: string },
};
beforeEach(() => Object.assign(hub, { status: 200, weights: "whole", authorization: undefined, lies: {} }));

beforeAll(async () => {
  server = createServer(async (request, response) => {
    const url = decodeURIComponent(request.url!.split("?")[0]!);
    hub.authorization = request.headers.authorization;
    const json = (value: unknown, status = 200) =>
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
    const [, api, type, name, rest = ""] = /^\/(?:(api)\/)?(models\/|datasets\/)?([^/]+\/[^/]+)(.*)$/.exec(url) ?? [];
    const repository = REPOSITORIES[`${type ?? "models/"}${name}`];
    if (hub.status !== 200) return json({ error: "Not now" }, hub.status);
    if (!repository) return json({ error: "Repository not found" }, 404);
    const entries = Object.entries(repository).map(([path, content]) => ({
      type: "file",
      path,
      size: content.length,
      oid: hub.lies.oid ?? createHash("sha1").update(content).digest("hex"),
    }));
    if (api) {
      if (rest === "/revision/main") return json({ _id: "1", id: name, sha: "sha" in hub.lies ? hub.lies.sha : SHA });
      if (rest === `/tree/${SHA}` && hub.lies.next) response.setHeader("link", `<${hub.lies.next}>; rel="next"`);
      if (rest === `/tree/${SHA}`) return json(entries);
      let body = "";
      for await (const chunk of request) body += String(chunk);
      const { paths } = JSON.parse(body) as { paths: string[] };
      return json(entries.filter((entry) => paths.includes(entry.path)));
    }
    const entry = entries.find(({ path }) => rest === `/resolve/${SHA}/${path}`);
    if (!entry) return json({ error: "Entry not found" }, 404);
    const content = Buffer.from(repository[entry.path]!);
    const headers = { etag: `"${hub.lies.etag ?? entry.oid}"`, "accept-ranges": "bytes" };
    const [, from, to] = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? "") ?? [];
    if (from !== undefined) {
      response.writeHead(206, { ...headers, "content-range": `bytes ${from}-${to}/${content.length}` });
      return response.end(content.subarray(Number(from), Number(to) + 1));
    }
    served.push(entry.path);
    const { weights } = hub;
    if (entry.path !== WEIGHTS || weights === "whole") return response.writeHead(200, headers).end(content);
    if (weights === "refused") return request.destroy();
    if (weights === "short") return response.writeHead(200, headers).end(content.subarray(1));
    response.writeHead(200, { ...headers, "content-length": content.length });
    response.write(content.subarray(0, 3), () => request.destroy());
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

  test.each([
    ["not there", "owner/absent", 200, /^owner\/absent: .*no such model for you \(status 404\).*HF_TOKEN/],
    ["not for us", "owner/model", 401, /^owner\/model: .*no such model for you \(status 401\).*HF_TOKEN/],
    ["of a hub that is down", "owner/model", 503, /^owner\/model: .*the download from the hub failed: Not now/],
  ])("a repository that is %s is refused in one line", async (_, name, status, message) => {
    hub.status = status;
    const error: unknown = await resolveModelDir(nodeFiles, name, { cacheDir: `${root}/c`, hubUrl }).catch((e) => e);
    expect(error).toBeInstanceOf(PithError);
    expect((error as PithError).message).toMatch(message);
    expect((error as PithError).message).not.toContain("\n");
  });

  test("a snapshot that is whole serves while the hub is down, and not where the hub says that it is gone", async () => {
    const options = { cacheDir: `${root}/down`, hubUrl };
    const dir = await resolveModelDir(nodeFiles, "owner/model", options);
    hub.status = 503;
    expect(await resolveModelDir(nodeFiles, "owner/model", options)).toBe(dir);
    hub.status = 401;
    await expect(resolveModelDir(nodeFiles, "owner/model", options)).rejects.toThrow(/status 401/);
  });

  test.each([
    ["broken off", /failed: \w.*; run again$/],
    ["refused", /failed: \w.*; run again$/],
    ["short", /copy of model-00001-of-00001.safetensors broke off: expected 7 bytes, got 6; run again$/],
  ] as const)(
    "weights that are %s are an error, kept from use, and downloaded by the next call",
    async (weights, message) => {
      const options = { cacheDir: `${root}/${weights}`, hubUrl };
      hub.weights = weights;
      const error: unknown = await resolveModelDir(nodeFiles, "owner/model", options).catch((e: unknown) => e);
      expect(error).toBeInstanceOf(PithError);
      expect((error as PithError).message).toMatch(/^owner\/model: no such folder here, and the /);
      expect((error as PithError).message).toMatch(message);
      // Without the mark that the snapshot is whole, what is there does not serve offline.
      const offline = { ...options, hubUrl: "http://127.0.0.1:1" };
      await expect(resolveModelDir(nodeFiles, "owner/model", offline)).rejects.toThrow(/cannot be reached/);

      hub.weights = "whole";
      const before = served.length;
      const dir = await resolveModelDir(nodeFiles, "owner/model", options);
      expect(await nodeFiles.readText(`${dir}/${WEIGHTS}`)).toBe("weights");
      expect(served.slice(before)).toEqual([WEIGHTS]);
    },
  );
});

describe("pith", () => {
  /** A command with its own cache and these variables. */
  const pith = (env: Record<string, string>, ...args: string[]) =>
    new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
      const argv = ["--import", "./scripts/wgsl-hook.js", "src/cli/main.ts", ...args];
      const options = { cwd: checkout, env: { ...process.env, HF_HOME: `${root}/home`, ...env } };
      execFile(process.execPath, argv, options, (error, stdout, stderr) => {
        const lines = stderr.split("\n").filter((line) => line !== "" && !line.startsWith("Warning: max"));
        resolve({ code: error ? Number(error.code) : 0, stdout, stderr: lines.join("\n") });
      });
    });
  const args = ["generate", "owner/tiny", "--prompt-ids", "5,9,2", "--max-tokens", "3", "--json"];

  test("HF_ENDPOINT and HF_TOKEN say where from and for whom; standard output holds the result alone", async () => {
    const env = { HF_ENDPOINT: `${hubUrl}/`, HF_TOKEN: "hf_secret\n" };
    const { code, stdout, stderr } = await pith(env, ...args);
    expect([code, JSON.parse(stdout)]).toEqual([0, expect.objectContaining({ prompt_token_ids: [5, 9, 2] })]);
    expect(hub.authorization).toBe("Bearer hf_secret");
    expect(stderr.split("\n")).toEqual([
      "downloading config.json (0% of 0.28 MB done)",
      "downloading model.safetensors (0% of 0.28 MB done)",
    ]);
    expect(existsSync(`${root}/home/hub/models--owner--tiny/refs/main`)).toBe(true);

    const again = await pith(env, ...args);
    expect(again).toEqual({ code: 0, stdout, stderr: "" });
    const offline = await pith({ HF_ENDPOINT: "http://127.0.0.1:1" }, ...args);
    expect(offline).toEqual({ code: 0, stdout, stderr: "" });
  });

  test("an HF_ENDPOINT that is no URL", async () => {
    const { code, stdout, stderr } = await pith({ HF_ENDPOINT: "hub.example" }, ...args);
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toBe("pith: HF_ENDPOINT: expected a URL such as https://huggingface.co, got hub.example");
  });
});

describe("a hub that lies", () => {
  test.each<[string, typeof hub.lies, RegExp]>([
    ["a commit that leads out", { sha: "../../../out" }, /names a commit by/],
    ["no commit", { sha: null }, /names a commit by/],
    ["a blob that leads out", { oid: "../../../out" }, /names config.json by/],
    ["an absolute blob", { oid: "/etc/passwd" }, /names config.json by/],
    ["a tag that leads out", { etag: "../../../out" }, /names a file by/],
    ["a list that goes on elsewhere", { next: "http://localhost:1/api/x" }, /list of its files on to/],
  ])("%s: nothing outside the cache is touched", async (_, lies, message) => {
    const home = mkdtempSync(`${root}/lies-`);
    mkdirSync(`${home}/out`);
    mkdirSync(`${home}/cache`);
    writeFileSync(`${home}/out/kept.txt`, "kept");
    Object.assign(hub.lies, lies);
    const found = resolveModelDir(nodeFiles, "owner/model", { cacheDir: `${home}/cache`, hubUrl, token: "hf_secret" });
    await expect(found).rejects.toThrow(message);
    await expect(found).rejects.toBeInstanceOf(PithError);
    expect(readdirSync(home)).toEqual(["cache", "out"]);
    expect(readFileSync(`${home}/out/kept.txt`, "utf8")).toBe("kept");
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
