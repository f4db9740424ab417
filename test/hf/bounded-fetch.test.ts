import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as after } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { boundedFetch } from "../../src/hf/hub.ts";

const PIECES = 20;
const PIECE_MS = 30;
const bounded = boundedFetch(undefined, { answerMs: 300, silenceMs: 1000 });

let server: Server;
let at: string;
beforeAll(async () => {
  server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url!, "http://hub");
    response.writeHead(200, {
      "content-type": pathname.endsWith(".bin") ? "application/octet-stream" : "application/json",
    });
    response.flushHeaders();
    for (let i = 0; i < PIECES && !pathname.includes("silent"); i++) {
      response.write("0123456789");
      await after(PIECE_MS);
    }
    if (!pathname.includes("silent")) response.end();
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  at = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

test.each(["/owner/model/resolve/main/model.safetensors", "/xorbs/default/0123.bin"])(
  "%s may come slowly, and may take longer than an answer",
  async (path) => {
    const body = await (await bounded(at + path)).text();
    expect(body.length).toBe(10 * PIECES);
  },
);

test("who reads a file slowly is not told that the server is silent", async () => {
  const reader = (await bounded(`${at}/owner/model/resolve/main/model.safetensors`)).body!.getReader();
  let bytes = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    if (bytes === 0) await after(1500);
    bytes += part.value.length;
  }
  expect(bytes).toBe(10 * PIECES);
});

test.each(["/api/models/owner/model", "/v2/reconstructions/0123"])("%s must end", async (path) => {
  await expect(bounded(at + path).then((response) => response.text())).rejects.toThrow(/the hub's answer does not end/);
});

test.each(["/api/silent", "/owner/model/resolve/main/silent.bin"])("%s must go on", async (path) => {
  await expect(bounded(at + path).then((response) => response.text())).rejects.toThrow(/said nothing for 1 s/);
});
