import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { connect } from "node:net";
import { extname, resolve, sep } from "node:path";
import type { Duplex } from "node:stream";
import { pipeline } from "node:stream/promises";
import { PithError } from "../../errors.ts";
import { isOwnMachine, isSafeForStrangers, requireSafe } from "./version.ts";

/** Connections at once. */
const MOST_CONNECTIONS = 512;
const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".json": "application/json",
  ".png": "image/png",
};

export interface DoorOptions {
  host: string;
  port: number;
  /** The built page. */
  page: string;
  /** HOST:PORT of the server's WebSockets. */
  front: string;
  /** Of the nats-server. */
  version: string;
  /** Where the policy's file of this SHA-256 lies; null where it has none such. */
  weightFile(sha256: string): string | null;
}

/**
 * Where browsers come in, by one port: the page, the policy's files at /weights/SHA256, and at /nats the server's WebSocket. A proxy
 * before it makes it https.
 *
 * @throws PithError where the port is taken, or the server is none for strangers and the address is not this machine's alone
 */
export async function openDoor(options: DoorOptions): Promise<{ url: string; close(): void }> {
  const { host, port, version } = options;
  if (!isOwnMachine(host)) requireSafe(version, `${host}:${port}`);
  const server = createServer({ requestTimeout: 30_000 }, (request, response) => {
    answer(request, response, options).catch(() => response.destroy());
  });
  server.maxConnections = MOST_CONNECTIONS;
  const tunnels = new Set<Duplex>();
  server.on("upgrade", (request, socket, head) => {
    tunnels.add(socket);
    socket.once("close", () => tunnels.delete(socket));
    tunnel(request, socket, head, options);
  });
  await listening(server, host, port);
  const name = host === "0.0.0.0" || host === "::" ? "localhost" : host;
  return {
    url: `http://${name}:${port}`,
    close: () => {
      server.close();
      server.closeAllConnections();
      for (const socket of tunnels) socket.destroy();
    },
  };
}

function listening(server: Server, host: string, port: number): Promise<void> {
  return new Promise((done, failed) => {
    server.once("error", (error) =>
      failed(new PithError(`--listen: expected ${host}:${port} to be free to listen at, got: ${error.message}`)),
    );
    server.listen(port, host, done);
  });
}

/** Through a proxy a name comes that is not this machine's. */
const mayCome = ({ headers }: IncomingMessage, { version }: DoorOptions): boolean =>
  isOwnMachine(headers.host ?? "") || isSafeForStrangers(version);

async function answer(request: IncomingMessage, response: ServerResponse, options: DoorOptions): Promise<void> {
  const { pathname } = new URL(request.url ?? "/", "http://door");
  const refuse = (status: number, why: string) =>
    void response.writeHead(status, { "content-type": "text/plain" }).end(`${why}\n`);
  if (request.method !== "GET" && request.method !== "HEAD") return refuse(405, "only GET");
  if (!mayCome(request, options)) return refuse(503, "this gate's nats-server is too old to be reached from elsewhere");
  const [, sha256] = /^\/weights\/([0-9a-f]{64})$/.exec(pathname) ?? [];
  if (pathname === "/lend") return void response.writeHead(301, { location: "/lend/" }).end();
  const path = sha256 === undefined ? pagePath(options.page, pathname) : options.weightFile(sha256);
  const found = path === null ? null : await stat(path).catch(() => null);
  if (!found?.isFile()) return refuse(404, "no such file");
  response.writeHead(200, {
    "content-type": TYPES[extname(path!)] ?? "application/octet-stream",
    "content-length": found.size,
    "cache-control": sha256 === undefined ? "no-cache" : "public, max-age=86400, immutable",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
  });
  if (request.method === "HEAD") return void response.end();
  await pipeline(createReadStream(path!), response);
}

/** The file within the page's folder; null for what is outside. */
function pagePath(page: string, pathname: string): string | null {
  let decoded: string;
  try {
    decoded = decodeURIComponent(pathname);
  } catch {
    return null;
  }
  const path = resolve(page, `.${decoded.endsWith("/") ? `${decoded}index.html` : decoded}`);
  return path.startsWith(`${resolve(page)}${sep}`) && !decoded.includes("\0") ? path : null;
}

/** Joins a page's WebSocket to the server's: what is said from here on is between the two. */
function tunnel(request: IncomingMessage, socket: Duplex, head: Buffer, options: DoorOptions): void {
  const { origin, host } = request.headers;
  socket.on("error", () => socket.destroy());
  const isOwnPage = origin === undefined || (URL.canParse(origin) && new URL(origin).host === host);
  if (request.url !== "/nats" || !isOwnPage || !mayCome(request, options))
    return void socket.end("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
  const [, frontHost, frontPort] = /^(.*):(\d+)$/.exec(options.front)!;
  const inner = connect({ host: frontHost!, port: Number(frontPort) }, () => {
    const lines = [`GET / HTTP/1.1`];
    for (let i = 0; i < request.rawHeaders.length; i += 2)
      lines.push(`${request.rawHeaders[i]}: ${request.rawHeaders[i + 1]}`);
    inner.write(`${lines.join("\r\n")}\r\n\r\n`);
    inner.write(head);
    inner.pipe(socket).pipe(inner);
  });
  inner.on("error", () => socket.destroy());
  socket.on("close", () => inner.destroy());
  inner.on("close", () => socket.destroy());
}
