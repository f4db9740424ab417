import { createHash } from "node:crypto";
import { homedir, hostname } from "node:os";
import { basename, resolve } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { ConfigError, UsageError } from "../errors.ts";
import { makeInvitation } from "../fleet/access/invitation.ts";
import { frontOf } from "../fleet/access/keeper.ts";
import { readKeys } from "../fleet/access/keys.ts";
import { readAnnouncement, RUN_NAME } from "../fleet/announcement.ts";
import { joinFleet, keysOf, taskConsumer, type Fleet } from "../fleet/connection.ts";
import { FleetSource } from "../fleet/fleet-source.ts";
import { openDoor } from "../fleet/gate/door.ts";
import { Gate } from "../fleet/gate/gate.ts";
import { isOwnMachine, requireSafe } from "../fleet/gate/version.ts";
import type { PresenceOptions } from "../fleet/presence.ts";
import { parseListen, serverVersion, startServer } from "../fleet/server.ts";
import { listWorkers, nameOf } from "../fleet/status.ts";
import { Worker } from "../fleet/worker.ts";
import { fetchWeights } from "../fleet/weights.ts";
import { WorkerPolicy, type FetchVersion } from "../fleet/worker-policy.ts";
import type { Gpu } from "../gpu/gpu.ts";
import type { Model } from "../model/model.ts";
import type { RunFolder } from "../run/run-folder.ts";
import { asideOf } from "../runtime/aside.ts";
import { engineOptions } from "../train/options.ts";
import { shipped } from "./shipped.ts";
import { files, INTERRUPTED, interruptSignal, note, openGpu, print } from "./host.ts";

/** The server's URL, as given or in PITH_FLEET: a key on a command line is seen by the machine's other users. */
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
  const [url, workerUrl] = [server.url, server.workerUrl].map((one) =>
    one.replace(/@(0\.0\.0\.0|::)/, `@${hostname()}`),
  );
  print(`fleet ${url}`);
  print(`  may do everything: pith train CONFIG.toml --fleet URL, pith gate --fleet URL`);
  print(`workers ${workerUrl}`);
  print(`  may sample: pith worker --fleet URL, pith fleet status --fleet URL`);
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
  for (const run of await keysOf(fleet, "runs")) {
    const announced = readAnnouncement(await fleet.runs.get(run));
    const queue = await taskConsumer(fleet, run);
    const work = queue ? `${queue.num_pending} tasks wait, ${queue.num_ack_pending} are in work` : "no queue";
    lines.push(`run ${run}: ${work}; weights ${short(announced?.weights)}, kind ${short(announced?.kind)}`);
  }
  if (lines.length === 0) lines.push("no run");
  const workers = await listWorkers(fleet);
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
  return atWork(url, "worker", { run, adapter }, (fleet, policy, presence) => {
    const signal = interruptSignal();
    return new Worker(fleet, policy, { ...presence, signal }).work();
  });
}

/** `pith gate`: lets browsers sample for the fleet's runs until it is interrupted. */
export async function gateCommand(
  url: string,
  {
    listen,
    requireKind,
    ...options
  }: { listen: string; requireKind: "same" | "any"; run?: string | undefined; adapter?: string | undefined },
): Promise<number> {
  const page = shipped("dist");
  if (!(await files.exists(`${page}/lend/index.html`)))
    throw new ConfigError(`gate: expected the built page in ${page}, got none; npm run build makes it`);
  return atWork(url, "gate", options, async (fleet, policy, presence) => {
    const signal = interruptSignal();
    const front = await frontOf(fleet);
    const weightFile = (sha256: string) => policy.fileOf(sha256);
    const version = fleet.nc.info!.version;
    const door = await openDoor({ ...parseListen(listen, 8080), page, front, version, weightFile });
    note(`the page is at ${door.url}/lend/; pith fleet invite ORIGIN prints links to it`);
    try {
      await new Gate(fleet, policy, { ...presence, requireKind, signal }).work();
    } finally {
      door.close();
    }
  });
}

/** `pith fleet invite`: links, each of which lets one browser sample. */
export async function inviteCommand(
  origin: string,
  { dir, count, hours }: { dir: string; count: number; hours: number },
): Promise<void> {
  const url = URL.canParse(origin) ? new URL(origin) : null;
  if (!url || url.origin !== origin.replace(/\/$/, "") || !/^https?:$/.test(url.protocol))
    throw new UsageError(`invite: expected where browsers reach the gate, such as https://lab.example, got ${origin}`);
  if (url.protocol === "http:" && !isOwnMachine(url.host))
    throw new UsageError(
      `invite: expected https, got ${origin}; browsers have WebGPU over https and on localhost alone`,
    );
  if (!isOwnMachine(url.host)) requireSafe(await serverVersion(), url.host);
  const keys = await readKeys(resolve(dir));
  for (let i = 0; i < count; i++) print(`${url.origin}/lend/#${makeInvitation(keys, hours)}`);
  note(`each is for one browser, for ${hours} h`);
}

/** Joins as a worker or a gate does, with this machine's GPU, until the work ends. */
async function atWork(
  url: string,
  what: "worker" | "gate",
  { run, adapter }: { run?: string | undefined; adapter?: string | undefined },
  work: (fleet: Fleet, policy: WorkerPolicy, presence: PresenceOptions) => Promise<void>,
): Promise<number> {
  if (run !== undefined && !RUN_NAME.test(run)) throw new UsageError(`--run: expected a run's name, got ${run}`);
  interruptSignal();
  const host = hostname();
  const id = nameOf(what, host, process.pid);
  const fleet = await joinFleet(url, id);
  const gpu = await openGpu(adapter);
  const policy = openPolicy(fleet, gpu);
  note(`${what} ${id} on ${gpu.name}`);
  try {
    await work(fleet, policy, { id, host, adapter: gpu.name, run, note });
  } finally {
    policy.dispose();
    await fleet.nc.drain().catch(() => {});
  }
  return INTERRUPTED;
}

/** A policy that comes from the fleet; its files are shared by this machine's workers. */
function openPolicy(fleet: Fleet, gpu: Gpu): WorkerPolicy {
  const cache = `${process.env["XDG_CACHE_HOME"] || `${homedir()}/.cache`}/pith/fleet`;
  const fetch: FetchVersion = (run, weights, before) =>
    fetchWeights(fleet, run, weights, files, cache, asideOf(`${cache}/${weights.weights}`), before);
  return new WorkerPolicy(gpu, { files, fetch });
}

/** A run's name in the fleet: the same whenever it is resumed in its folder. */
export function runName(dir: string): string {
  const path = resolve(dir);
  const place = createHash("sha256").update(`${hostname()}:${path}`).digest("hex").slice(0, 8);
  return `${basename(path).replaceAll(/\W/g, "-").slice(0, 40)}-${place}`;
}

/** The fleet as a run's sampler. */
export async function openFleetSource(
  url: string,
  folder: RunFolder,
  model: Model,
  openReference: (() => Promise<Model>) | null,
): Promise<FleetSource> {
  if (folder.config.rl.stop.length > 0)
    throw new ConfigError("--fleet: expected responses that end by tokens, got rl.stop; workers have no tokenizer");
  const run = runName(folder.dir);
  const fleet = await joinFleet(url, run);
  note(`samples by the fleet as run ${run}`);
  return new FleetSource(fleet, run, model, {
    engine: engineOptions(folder.config),
    files,
    dir: `${folder.dir}/.fleet`,
    openReference,
    onWarning: note,
  });
}
