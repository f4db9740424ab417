import type { NatsConnection } from "@nats-io/nats-core";
import { makeInvitation } from "../../src/fleet/access/invitation.ts";
import { frontOf } from "../../src/fleet/access/keeper.ts";
import { readKeys } from "../../src/fleet/access/keys.ts";
import { joinFleet } from "../../src/fleet/connection.ts";
import { openDoor } from "../../src/fleet/gate/door.ts";
import { Gate, type GateOptions } from "../../src/fleet/gate/gate.ts";
import { decodeReply, encodeReply } from "../../src/fleet/gate/protocol.ts";
import { fetchFromGate } from "../../src/fleet/guest/fetch-weights.ts";
import { Guest, type Lent } from "../../src/fleet/guest/guest.ts";
import { readInvitation } from "../../src/fleet/guest/invitation.ts";
import { joinAsGuest } from "../../src/fleet/guest/join.ts";
import { decodeResult, encodeResult, type Result, type Task } from "../../src/fleet/messages.ts";
import type { Server } from "../../src/fleet/server.ts";
import { fetchWeights } from "../../src/fleet/weights.ts";
import { WorkerPolicy } from "../../src/fleet/worker-policy.ts";
import { BlobFiles } from "../../web/storage/blob-files.ts";
import { testGpu } from "../helpers/gpu.ts";
import { files } from "../helpers/host.ts";
import { freePort } from "./processes.ts";

export interface OpenGate {
  origin: string;
  said: string[];
  close(): Promise<void>;
}

/** A gate in this process, on the tests' device, and its door. */
export async function openGate(
  server: Server,
  folder: string,
  options: Partial<GateOptions> & { page?: string } = {},
): Promise<OpenGate> {
  const fleet = await joinFleet(server.url, "gate-test");
  const cache = `${folder}/cache`;
  const policy = new WorkerPolicy(await testGpu(), {
    files,
    fetch: (run, announced, before) => fetchWeights(fleet, run, announced, files, cache, `${cache}/gate`, before),
  });
  const ended = new AbortController();
  const said: string[] = [];
  const gate = new Gate(fleet, policy, {
    id: "gate-test",
    host: "test",
    adapter: "test",
    requireKind: "same",
    note: (line) => said.push(line),
    signal: ended.signal,
    ...options,
  });
  const working = gate.work();
  const door = await openDoor({
    host: "127.0.0.1",
    port: await freePort(),
    page: options.page ?? folder,
    front: await frontOf(fleet),
    version: fleet.nc.info!.version,
    weightFile: (sha256) => policy.fileOf(sha256),
  });
  return {
    origin: door.url,
    said,
    close: async () => {
      ended.abort();
      await working;
      door.close();
      policy.dispose();
      await fleet.nc.close();
    },
  };
}

/** What a guest changes of what it hears and says. */
export interface Lie {
  task?: (task: Task) => Task;
  result?: (result: Result) => Result;
  probe?: (bytes: Uint8Array) => Uint8Array;
  policy?: (policy: WorkerPolicy) => WorkerPolicy;
}

export const invite = async (dir: string, hours = 1): Promise<string> => makeInvitation(await readKeys(dir), hours);

export interface OpenGuest {
  nc: NatsConnection;
  id: string;
  lent: Lent;
  /** Leaves. */
  close(): Promise<void>;
}

/** A guest in this process, by way of the gate's door as a tab comes. */
export async function openGuest(gate: OpenGate, invitation: string, lie: Lie = {}): Promise<OpenGuest> {
  const read = readInvitation(invitation);
  const nc = await joinAsGuest(read, gate.origin);
  const memory = new BlobFiles();
  const honest = new WorkerPolicy(await testGpu(), { files: memory, fetch: fetchFromGate(gate.origin, memory) });
  const policy = lie.policy?.(honest) ?? honest;
  const ended = new AbortController();
  const guest: OpenGuest = {
    nc,
    id: read.id,
    lent: { state: "", tasks: 0, tokens: 0, accepted: 0, refused: 0 },
    close: async () => {
      ended.abort();
      await working;
      await nc.close();
      honest.dispose();
    },
  };
  const working = new Guest(lyingConnection(nc, lie), read.id, policy, (lent) => (guest.lent = lent)).work(
    ended.signal,
  );
  working.catch(() => {});
  return guest;
}

function lyingConnection(nc: NatsConnection, { task, result, probe }: Lie): NatsConnection {
  const request: NatsConnection["request"] = async (subject, payload, options) => {
    let sent = payload;
    if (result && subject.endsWith(".result")) sent = encodeResult(result(decodeResult(payload as Uint8Array)));
    if (probe && subject.endsWith(".probe")) sent = probe(payload as Uint8Array);
    const message = await nc.request(subject, sent, options);
    const reply = decodeReply(message.string());
    if (!task || !("task" in reply)) return message;
    return { ...message, string: () => encodeReply({ task: task(reply.task) }) };
  };
  return new Proxy(nc, {
    get: (target, name) => {
      if (name === "request") return request;
      const value: unknown = Reflect.get(target, name);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}
