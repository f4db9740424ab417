import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { chromium, type BrowserContext, type Page } from "playwright";
import { build } from "vite";
import { launchOptions } from "./chromium.ts";

const root = new URL("../..", import.meta.url).pathname;

const TYPES: Record<string, string> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".json": "application/json",
};

/**
 * Keeps every device that the worker opens, for a test to destroy, and counts the buffers that are there: put before the worker's own
 * script.
 */
const WATCH_DEVICES = `{
  const request = GPUAdapter.prototype.requestDevice;
  GPUAdapter.prototype.requestDevice = async function (...args) {
    const device = await request.apply(this, args);
    (globalThis.devices ??= []).push(device);
    return device;
  };
  globalThis.buffers = { count: 0, bytes: 0 };
  const create = GPUDevice.prototype.createBuffer;
  GPUDevice.prototype.createBuffer = function (...args) {
    const buffer = create.apply(this, args);
    buffers.count++;
    buffers.bytes += buffer.size;
    return buffer;
  };
  const destroyed = new WeakSet();
  const destroy = GPUBuffer.prototype.destroy;
  GPUBuffer.prototype.destroy = function () {
    if (!destroyed.has(this)) {
      buffers.count--;
      buffers.bytes -= this.size;
    }
    destroyed.add(this);
    destroy.call(this);
  };
}
`;

export interface Site {
  url: string;
  /** Paths that were asked for, and the bytes that a host which compresses would have sent. */
  requests: { path: string; compressedBytes: number }[];
  close(): void;
}

/** The built page behind a plain file host, under a path of its own; such a host sends no headers beside what a file is. */
export async function serveBuilt(): Promise<Site> {
  const outDir = mkdtempSync(join(tmpdir(), "pith-site-"));
  await build({ configFile: `${root}/vite.config.ts`, logLevel: "warn", build: { outDir } });
  const requests: Site["requests"] = [];
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url!, "http://host");
    const file = join(outDir, pathname.replace(/^\/pith\//, "").replace(/^$/, "index.html"));
    if (!pathname.startsWith("/pith/") || !existsSync(file)) return void response.writeHead(404).end();
    const bytes = readFileSync(file);
    requests.push({ path: pathname, compressedBytes: gzipSync(bytes).length });
    response.writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream" });
    response.end(/\/worker-[^/]*\.js$/.test(pathname) ? WATCH_DEVICES + bytes.toString() : bytes);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://localhost:${(server.address() as AddressInfo).port}/pith/`,
    requests,
    close() {
      server.close();
      server.closeAllConnections();
      rmSync(outDir, { recursive: true, force: true });
    },
  };
}

export interface Tab {
  context: BrowserContext;
  page: Page;
  /** Console errors, uncaught exceptions, and requests that failed or left the site. */
  troubles: string[];
}

/** A fresh browser, with `flags` of its own. Without `gpu`, one whose WebGPU has no adapter. */
export async function openTab(
  site: Site,
  { gpu = true, flags = [] }: { gpu?: boolean; flags?: readonly string[] } = {},
): Promise<Tab> {
  const options = launchOptions(gpu ? undefined : ["--disable-gpu", "--use-webgpu-adapter=default"]);
  const context = await chromium.launchPersistentContext("", {
    ...options,
    args: [...options.args, ...flags],
    viewport: { width: 1280, height: 900 },
  });
  const page = context.pages()[0]!;
  const troubles: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error") troubles.push(message.text());
  });
  page.on("pageerror", (error) => troubles.push(error.message));
  page.on("requestfailed", (request) => troubles.push(`${request.url()}: ${request.failure()?.errorText}`));
  context.on("request", (request) => {
    if (!request.url().startsWith(site.url) && !/^(blob|data):/.test(request.url()))
      troubles.push(`a request to ${request.url()}`);
  });
  return { context, page, troubles };
}

/** Waits until the stage is drawn. */
export async function drawn(page: Page): Promise<void> {
  await page.locator(".rule-card svg").waitFor();
  await page.locator(".side .chart svg").nth(2).waitFor();
}
