import type { NatsConnection } from "@nats-io/nats-core";
import { expect } from "vitest";
import { joinFleet, makeTaskConsumer, type Fleet } from "../../src/fleet/connection.ts";
import { Draw } from "../../src/fleet/draw.ts";
import { decodeReply, type Reply } from "../../src/fleet/gate/protocol.ts";
import { readInvitation } from "../../src/fleet/guest/invitation.ts";
import { joinAsGuest } from "../../src/fleet/guest/join.ts";
import { kindOf, probe, probeBytes } from "../../src/fleet/kind.ts";
import { encodeTask, FORMAT } from "../../src/fleet/messages.ts";
import { startServer, type Server } from "../../src/fleet/server.ts";
import { publishWeights } from "../../src/fleet/weights.ts";
import { files } from "../helpers/host.ts";
import { toyModel } from "../helpers/toy.ts";
import { invite, openGate, type OpenGate } from "./guests.ts";
import { freePort } from "./processes.ts";

export const RUN = "strange";
/** Tasks of the run. */
export const TASKS = 32;

/** A server, a gate, and a run whose tasks nobody waits for: for guests that are none. */
export class StrangeRun {
  readonly server: Server;
  readonly trainer: Fleet;
  readonly gate: OpenGate;
  /** What an honest guest's probe says. */
  readonly probed: Uint8Array;
  readonly #folder: string;

  private constructor(folder: string, server: Server, trainer: Fleet, gate: OpenGate, probed: Uint8Array) {
    this.#folder = folder;
    this.server = server;
    this.trainer = trainer;
    this.gate = gate;
    this.probed = probed;
  }

  static async open(folder: string): Promise<StrangeRun> {
    const server = await startServer(`${folder}/server`, { host: "127.0.0.1", port: await freePort(), note: () => {} });
    const trainer = await joinFleet(server.url, "trainer");
    const model = await toyModel("float32");
    const own = await probe(model);
    const kind = await kindOf(own);
    const { dir: _, ...version } = await publishWeights(trainer, RUN, model, files, `${folder}/policy`);
    const params = { n: 8, temperature: 1, topK: 0, topP: 1, maxTokens: 8, seed: 3, stopTokenIds: [0] };
    const requests = Array.from({ length: TASKS / 4 }, (_request, promptId) => ({ promptId, promptTokenIds: [2, 3] }));
    const draw = new Draw(requests, params, { ...version, reference: null, kind, vocabSize: 14, maxModelLen: 32 });
    await makeTaskConsumer(trainer, RUN);
    for (const task of draw.tasks) await trainer.js.publish(`tasks.${RUN}`, encodeTask(task));
    const engine = { blockSize: 16, maxNumSeqs: 8 };
    const announced = { format: FORMAT, ...version, dtype: "float32", maxModelLen: 32, engine, kind };
    await trainer.runs.put(RUN, JSON.stringify(announced));
    return new StrangeRun(folder, server, trainer, await openGate(server, folder), probeBytes(own));
  }

  async close(): Promise<void> {
    await this.gate.close();
    await this.trainer.nc.close();
    await this.server.stop();
  }

  async newGuest() {
    const invitation = readInvitation(await invite(`${this.#folder}/server`));
    return { invitation, nc: await joinAsGuest(invitation, this.gate.origin) };
  }

  async ask(nc: NatsConnection, id: string, verb: string, payload: Uint8Array | string = ""): Promise<Reply> {
    return decodeReply((await nc.request(`gate.${id}.${verb}`, payload, { timeout: 10_000 })).string());
  }

  /** A guest that may ask for tasks. */
  async joined() {
    const guest = await this.newGuest();
    const { id } = guest.invitation;
    await expect.poll(() => this.ask(guest.nc, id, "policy"), { timeout: 20_000 }).toHaveProperty("policy");
    expect(await this.ask(guest.nc, id, "probe", this.probed)).toEqual({ joined: true });
    return { ...guest, id };
  }
}
