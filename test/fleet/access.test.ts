import type { NatsConnection } from "@nats-io/nats-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readKeys } from "../../src/fleet/access/keys.ts";
import { frontOf, revoke } from "../../src/fleet/access/keeper.ts";
import { joinFleet, makeTaskConsumer, type Fleet } from "../../src/fleet/connection.ts";
import { findServer, startServer, type Server } from "../../src/fleet/server.ts";
import { readInvitation } from "../../src/fleet/guest/invitation.ts";
import { joinAsGuest } from "../../src/fleet/guest/join.ts";
import { temporaryFolder } from "../helpers/host.ts";
import { invite } from "./guests.ts";
import { freePort, titled } from "./processes.ts";

const folder = temporaryFolder();

/** The subjects that the server refuses to let it publish at. */
async function refusedAt(fleet: Pick<Fleet, "nc">, subjects: readonly string[]): Promise<string[]> {
  const refused: string[] = [];
  const heard = (async () => {
    for await (const { type, error } of fleet.nc.status() as AsyncIterable<{ type: string; error?: Error }>) {
      const [, subject] = /Publish to "(.*)"/.exec(error?.message ?? "") ?? [];
      if (type === "error" && subject) refused.push(subject);
      if (subject === "end.of.it") return;
    }
  })();
  for (const subject of [...subjects, "end.of.it"]) fleet.nc.publish(subject, "x");
  await heard;
  return refused.slice(0, -1);
}

describe.skipIf(findServer() === null)(titled("who may do what"), () => {
  let server: Server;
  let trainer: Fleet;

  beforeAll(async () => {
    server = await startServer(`${folder}/server`, { host: "127.0.0.1", port: await freePort(), note: () => {} });
    trainer = await joinFleet(server.url, "trainer");
    await makeTaskConsumer(trainer, "r");
  }, 180_000);

  afterAll(async () => {
    await trainer?.nc.close();
    await server?.stop();
  });

  test("a worker takes tasks and sends results in its own name, and nothing else", async () => {
    const worker = await joinFleet(server.workerUrl, "host-1");
    const allowed = [
      "$JS.API.CONSUMER.MSG.NEXT.TASKS.workers-r",
      "$JS.ACK.TASKS.workers-r.1.1.1.1.1",
      "groups.r.host-1.00",
      "$KV.workers.r.host-1",
    ];
    const forbidden = [
      "groups.r.host-2.00",
      "tasks.r",
      "$KV.runs.r",
      "$KV.workers.r.host-2",
      "$O.weights.C.x",
      "$JS.API.STREAM.CREATE.X",
      "$JS.API.STREAM.PURGE.GROUPS",
      "$JS.API.STREAM.DELETE.TASKS",
      "$JS.API.CONSUMER.CREATE.TASKS.x",
      "$JS.API.CONSUMER.DELETE.TASKS.workers-r",
      "$JS.API.CONSUMER.CREATE.GROUPS.x",
      "keeper.revoke",
      "guest.someone.x",
      "$SYS.REQ.CLAIMS.UPDATE",
    ];
    expect(await refusedAt(worker, [...allowed, ...forbidden])).toEqual(forbidden);
    await worker.nc.close();
  });

  test("the keeper says where WebSockets are taken, and refuses what is no guest", async () => {
    expect(await frontOf(trainer)).toMatch(/^127\.0\.0\.1:\d+$/);
    await expect(revoke(trainer, "x")).rejects.toThrow(/expected a user's public key, got x/);
    await expect(readKeys(folder)).rejects.toThrow(/expected the keys that pith fleet writes there/);
  });

  test("who is shut out is put out, stays out when the server starts again, and is the only one", async () => {
    const [liar, honest] = [
      readInvitation(await invite(`${folder}/server`)),
      readInvitation(await invite(`${folder}/server`)),
    ];
    const origin = `http://${await frontOf(trainer)}`;
    const [first, second] = [await joinAsGuest(liar, origin), await joinAsGuest(honest, origin)];
    const cut: string[] = [];
    const hears = async (name: string, nc: NatsConnection) => {
      for await (const { type } of nc.status()) if (type === "disconnect") cut.push(name);
    };
    for (const [name, nc] of Object.entries({ first, second, trainer: trainer.nc })) void hears(name, nc);
    await revoke(trainer, liar.id);
    expect(String(await first.closed())).toMatch(/Revoked|Authorization|refused/i);
    await expect(joinAsGuest(liar, origin)).rejects.toThrow(/uthorization/);
    await second.flush();
    await trainer.nc.flush();
    expect([...new Set(cut)]).toEqual(["first"]);
    await Promise.all([second.close(), trainer.nc.close()]);
    await server.stop();
    server = await startServer(`${folder}/server`, { host: "127.0.0.1", port: await freePort(), note: () => {} });
    trainer = await joinFleet(server.url, "trainer");
    const again = `http://${await frontOf(trainer)}`;
    await expect(joinAsGuest(liar, again)).rejects.toThrow(/uthorization/);
    await (await joinAsGuest(honest, again)).close();
  }, 180_000);
});
