/**
 * Weights of the paper's 1.5B model's size on their way to two workers: a whole version, and what an update of every 5,000th byte
 * changed. Seconds, and the most memory that each process had.
 *
 *   node --import ./scripts/wgsl-hook.js bench/fleet-weights.ts [GB]      3.6 by default; about eight times that on the disk
 */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, copyFileSync, mkdtempSync, openSync, readSync, rmSync, statSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { joinFleet } from "../src/fleet/connection.ts";
import { findServer, startServer } from "../src/fleet/server.ts";
import { fetchWeights, publishWeights, type LocalVersion, type Weights } from "../src/fleet/weights.ts";
import { nodeFiles } from "../src/runtime/files-node.ts";

const RUN = "weights";
const PORT = 14_223;
const WORKERS = 2;
const CHUNK = 2 ** 24;
const CHANGED = 5000;

/** What a worker is asked to fetch. */
interface Order {
  url: string;
  cache: string;
  announced: Weights;
  before: LocalVersion | null;
}

const peak = (): string => `${(process.resourceUsage().maxRSS / 1e6).toFixed(2)} GB`;

/** A worker's part: fetches, says how much memory that took, and ends. */
async function fetchAs({ url, cache, announced, before }: Order): Promise<void> {
  const fleet = await joinFleet(url, `worker-${process.pid}`);
  const dir = await fetchWeights(fleet, RUN, announced, nodeFiles, cache, `${cache}/unfinished`, before);
  await fleet.nc.close();
  process.send!({ dir, peak: peak() });
}

/** Has a process fetch; where to, and its memory. */
function inProcess(order: Order): Promise<{ dir: string; peak: string }> {
  const child = spawn(process.execPath, [...process.execArgv, fileURLToPath(import.meta.url), JSON.stringify(order)], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  return new Promise((resolve, reject) => {
    child.once("message", (said) => resolve(said as { dir: string; peak: string }));
    child.once("exit", (code) => reject(new Error(`a worker ended with ${code}`)));
  });
}

function fill(path: string, bytes: number): void {
  const file = openSync(path, "w");
  for (let left = bytes; left > 0; left -= CHUNK) writeSync(file, randomBytes(Math.min(CHUNK, left)));
  closeSync(file);
}

function change(path: string): void {
  const file = openSync(path, "r+");
  const chunk = Buffer.alloc(CHUNK);
  for (let at = 0; at < statSync(path).size; at += CHUNK) {
    const read = readSync(file, chunk, 0, CHUNK, at);
    for (let i = 0; i < read; i += CHANGED) chunk[i]! ^= 1;
    writeSync(file, chunk, 0, read, at);
  }
  closeSync(file);
}

async function seconds<T>(work: () => Promise<T>): Promise<[number, T]> {
  const start = performance.now();
  const value = await work();
  return [(performance.now() - start) / 1000, value];
}

async function main(gigabytes: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "pith-weights-"));
  const server = await startServer(`${folder}/server`, { host: "127.0.0.1", port: PORT, note: console.error });
  try {
    const source = `${folder}/model.safetensors`;
    fill(source, gigabytes * 1e9);
    const save = async (_: unknown, dir: string) => {
      await nodeFiles.mkdir(dir);
      copyFileSync(source, `${dir}/model.safetensors`);
    };
    const fleet = await joinFleet(server.url, "trainer");
    const publish = (before: LocalVersion | null) =>
      publishWeights(fleet, RUN, { save } as Parameters<typeof publishWeights>[2], nodeFiles, `${folder}/out`, {
        before,
      });
    const caches = Array.from({ length: WORKERS }, (_, worker) => `${folder}/cache-${worker}`);
    let before: (Weights & { dir: string }) | null = null;
    let there: string[] = [];
    for (const version of ["whole", "changed"]) {
      if (before) change(source);
      const [stored, announced] = await seconds(() => publish(before));
      const [fetched, workers] = await seconds(() =>
        Promise.all(
          caches.map((cache, worker) =>
            inProcess({ url: server.url, cache, announced, before: before && { ...before, dir: there[worker]! } }),
          ),
        ),
      );
      const bytes = announced.files.reduce((sum, file) => sum + (file.delta?.bytes ?? file.bytes), 0);
      console.log(
        `${version}: ${(bytes / 1e6).toFixed(1)} MB | published in ${stored.toFixed(0)} s, ${peak()} | ` +
          `fetched by ${WORKERS} in ${fetched.toFixed(0)} s, ${workers.map((one) => one.peak).join(" and ")}`,
      );
      before = announced;
      there = workers.map(({ dir }) => dir);
    }
    await fleet.nc.close();
  } finally {
    await server.stop();
    rmSync(folder, { recursive: true });
  }
}

const [argument = "3.6"] = process.argv.slice(2);
if (argument.startsWith("{")) await fetchAs(JSON.parse(argument) as Order);
else if (findServer() === null) console.log("no nats-server is found");
else await main(Number(argument));
