import { createHash } from "node:crypto";
import { homedir, hostname } from "node:os";
import { basename, resolve } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { ConfigError, UsageError } from "../errors.ts";
import { readAnnouncement, RUN_NAME } from "../fleet/announcement.ts";
import { joinFleet, taskConsumer, type Fleet } from "../fleet/connection.ts";
import { FleetSource } from "../fleet/fleet-source.ts";
import { parseListen, startServer } from "../fleet/server.ts";
import { allWorkers } from "../fleet/status.ts";
import { Worker } from "../fleet/worker.ts";
import { fetchWeights } from "../fleet/weights.ts";
import { WorkerPolicy, type FetchVersion } from "../fleet/worker-policy.ts";
import type { Gpu } from "../gpu/gpu.ts";
import type { Model } from "../model/model.ts";
import type { RunFolder } from "../run/run-folder.ts";
import { engineOptions } from "../train/options.ts";
import { files, INTERRUPTED, interruptSignal, note, openGpu, print } from "./host.ts";

/** The server's URL, as given or in PITH_FLEET: a token on a command line is seen by the machine's other users. */
export function fleetUrl(given: string | undefined): string {
  const url = given ?? process.env["PITH_FLEET"];
  if (url === undefined)
    throw new UsageError("expected --fleet URL or PITH_FLEET, as pith fleet prints it, got neither");
  return url;
}

/** `pith fleet`: a server until it is interrupted. */
export async function serverCommand({ dir, listen }: { dir: string; listen: string }): Promise<number> {
  const signal = interruptSignal();
  const { host, port } = parseListen(listen);
  const server = await startServer(resolve(dir), { host, port, note });
  const url = server.url.replace(/@(0\.0\.0\.0|::)/, `@${hostname()}`);
  print(`fleet ${url}`);
  print(`  one trainer:  pith train CONFIG.toml --fleet ${url}`);
  print(`  workers:      pith worker --fleet ${url}`);
  print(`  who is there: pith fleet status --fleet ${url}`);
  if (!signal.aborted) await new Promise((ended) => signal.addEventListener("abort", ended, { once: true }));
  await server.stop();
  return INTERRUPTED;
}

/** `pith fleet status`: runs and workers, once, or again and again in a terminal. */
export async function statusCommand(url: string, { watch }: { watch: boolean }): Promise<void> {
  const signal = interruptSignal();
  const fleet = await joinFleet(url, "status");
  do {
    const text = await statusText(fleet);
    if (watch) process.stdout.write("\u001b[H\u001b[2J");
    print(text);
    if (watch) await sleep(2000, undefined, { signal }).catch(() => {});
  } while (watch && !signal.aborted);
  await fleet.nc.close();
}

async function statusText(fleet: Fleet): Promise<string> {
  const lines: string[] = [];
  for await (const run of await fleet.runs.keys()) {
    const announced = readAnnouncement(await fleet.runs.get(run));
    const queue = await taskConsumer(fleet, run);
    const work = queue ? `${queue.num_pending} tasks wait, ${queue.num_ack_pending} are in work` : "no queue";
    lines.push(`run ${run}: ${work}; weights ${short(announced?.weights)}, kind ${short(announced?.kind)}`);
  }
  if (lines.length === 0) lines.push("no run");
  const workers = await allWorkers(fleet);
  for (const { id, run, adapter, kind, weights, tasks, tokens, tokensPerSecond, state } of workers) {
    lines.push(
      `worker ${id} on ${adapter}: ${run ?? "no run"}, ${tasks} tasks, ${tokens} tokens, ${tokensPerSecond.toFixed(0)} tok/s, weights ${short(weights)}, kind ${short(kind)}; ${state}`,
    );
  }
  if (workers.length === 0) lines.push("no worker");
  return lines.join("\n");
}

const short = (digest: string | null | undefined): string => digest?.slice(0, 8) ?? "none";

/** `pith worker`: samples for the fleet's runs until it is interrupted. */
export async function workerCommand(
  url: string,
  { run, adapter }: { run?: string | undefined; adapter?: string | undefined },
): Promise<number> {
  if (run !== undefined && !RUN_NAME.test(run)) throw new UsageError(`--run: expected a run's name, got ${run}`);
  const signal = interruptSignal();
  const host = hostname();
  const id = `${host.replaceAll(/\W/g, "-").slice(0, 32)}-${process.pid}`;
  const fleet = await joinFleet(url, id);
  const gpu = await openGpu(adapter);
  const policy = openPolicy(fleet, gpu, id);
  note(`worker ${id} on ${gpu.name}`);
  try {
    await new Worker(fleet, policy, { id, host, adapter: gpu.name, run, note, signal }).work();
  } finally {
    policy.dispose();
    await fleet.nc.drain().catch(() => {});
  }
  return INTERRUPTED;
}

/** A policy that comes from the fleet; its files are shared by this machine's workers. */
function openPolicy(fleet: Fleet, gpu: Gpu, own: string): WorkerPolicy {
  const cache = `${process.env["XDG_CACHE_HOME"] || `${homedir()}/.cache`}/pith/fleet`;
  const fetch: FetchVersion = (run, policy, before) => fetchWeights(fleet, run, policy, files, cache, own, before);
  return new WorkerPolicy(gpu, { files, fetch });
}

/** The fleet as a run's sampler. The run's name there is the same whenever it is resumed in its folder. */
export async function openFleetSource(url: string, folder: RunFolder, model: Model): Promise<FleetSource> {
  if (folder.config.rl.stop.length > 0)
    throw new ConfigError("--fleet: expected responses that end by tokens, got rl.stop; workers have no tokenizer");
  const path = resolve(folder.dir);
  const place = createHash("sha256").update(`${hostname()}:${path}`).digest("hex").slice(0, 8);
  const run = `${basename(path).replaceAll(/\W/g, "-").slice(0, 40)}-${place}`;
  const fleet = await joinFleet(url, run);
  note(`samples by the fleet as run ${run}`);
  return new FleetSource(fleet, run, model, {
    engine: engineOptions(folder.config),
    files,
    dir: `${folder.dir}/.fleet`,
    onWarning: note,
  });
}
