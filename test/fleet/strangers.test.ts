import { jwtAuthenticator } from "@nats-io/nats-core";
import { createAccount, createUser } from "@nats-io/nkeys";
import { connect } from "@nats-io/transport-node";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { keyOf, readKeys, seedOf } from "../../src/fleet/access/keys.ts";
import { guestToken } from "../../src/fleet/access/roles.ts";
import { readInvitation, type Invitation } from "../../src/fleet/guest/invitation.ts";
import { joinAsGuest } from "../../src/fleet/guest/join.ts";
import { encodeResult, type Task } from "../../src/fleet/messages.ts";
import { findServer } from "../../src/fleet/server.ts";
import { temporaryFolder } from "../helpers/host.ts";
import { invite } from "./guests.ts";
import { titled } from "./processes.ts";
import { RUN, StrangeRun } from "./strange-run.ts";

const folder = temporaryFolder();
/** Milliseconds in which what was sent would have come. */
const SOON = 300;

describe.skipIf(findServer() === null)(titled("strangers"), () => {
  let run: StrangeRun;

  beforeAll(async () => {
    run = await StrangeRun.open(folder);
  }, 180_000);

  afterAll(() => run?.close());

  test("may ask the gate in their own name, hear its answers, and nothing else", async () => {
    const { nc, invitation } = await run.newGuest();
    const other = createUser().getPublicKey();
    const publish = [
      `gate.${other}.task`,
      `guest.${invitation.id}.x`,
      `guest.${other}.x`,
      `tasks.${RUN}`,
      `groups.${RUN}.x.y`,
      "$KV.runs.x",
      "$KV.workers.x.y",
      "$O.weights.M.x",
      "keeper.revoke",
      "_INBOX.x",
      "$SYS.REQ.CLAIMS.UPDATE",
      "$JS.API.INFO",
      "$JS.API.STREAM.NAMES",
      "$JS.API.CONSUMER.CREATE.TASKS.x",
      "$JS.API.CONSUMER.DURABLE.CREATE.GROUPS.x",
      `$JS.API.CONSUMER.MSG.NEXT.TASKS.workers-${RUN}`,
      "$JS.API.STREAM.MSG.GET.GROUPS",
      "$JS.API.DIRECT.GET.GROUPS",
      `$JS.ACK.TASKS.workers-${RUN}.1.1.1.1.1`,
    ];
    const refused = new Set<string>();
    const hear = (async () => {
      for await (const status of nc.status() as AsyncIterable<{ error?: Error }>) {
        const [, subject] = /to "(.*)"/.exec(status.error?.message ?? "") ?? [];
        if (subject) refused.add(subject);
      }
    })();
    for (const subject of publish) nc.publish(subject, "x");
    await nc.flush();
    await expect.poll(() => publish.filter((subject) => !refused.has(subject))).toEqual([]);
    const listen = ["gate.>", `guest.${other}.>`, "_INBOX.>", "groups.>", "tasks.>", "$KV.>", ">"];
    const heard: string[] = [];
    for (const subject of listen) {
      const subscription = nc.subscribe(subject, {
        callback: (_error, message) => void heard.push(message?.subject ?? ""),
      });
      await nc.flush();
      await expect.poll(() => refused.has(subject), { message: subject }).toBe(true);
      subscription.unsubscribe();
    }
    expect(heard.filter(Boolean)).toEqual([]);
    await nc.close();
    await hear;
  });

  test("have no answer sent to where others listen", async () => {
    const { nc, id } = await run.joined();
    const other = createUser().getPublicKey();
    const heard: string[] = [];
    for (const subject of [`guest.${other}.>`, "aside.>", `groups.${RUN}.>`])
      run.trainer.nc.subscribe(subject, { callback: (_error, message) => void heard.push(message.subject) });
    await run.trainer.nc.flush();
    for (const reply of [`guest.${other}.x`, "aside.x", `groups.${RUN}.x.y`])
      for (const verb of ["policy", "task", "result"]) nc.publish(`gate.${id}.${verb}`, "x", { reply });
    await nc.flush();
    await sleep(SOON);
    expect(heard).toEqual([]);
    await nc.close();
  });

  test("with a token that is over, forged, or another's are let in by nobody", async () => {
    const keys = await readKeys(`${folder}/server`);
    const account = keys.account.getPublicKey();
    const good = readInvitation(await invite(`${folder}/server`));
    const refuses = (invitation: Invitation) =>
      expect(joinAsGuest(invitation, run.gate.origin)).rejects.toThrow(/uthorization|authentication|expired/i);
    const user = createUser();
    const past = Math.floor(Date.now() / 1000) - 5;
    await refuses({ ...good, token: guestToken(keys.guest, account, keyOf(good.seed), past) });
    await refuses({ ...good, token: guestToken(createAccount(), account, keyOf(good.seed), past + 60) });
    await refuses({ ...good, token: good.token.replace(/.(?=[^.]*$)/, (digit) => (digit === "A" ? "B" : "A")) });
    await refuses({ ...good, seed: seedOf(user) });
    const [head, claims, signature] = good.token.split(".") as [string, string, string];
    const widened = Buffer.from(claims, "base64url")
      .toString()
      .replace(/"exp":\d+/, '"exp":9999999999');
    await refuses({ ...good, token: [head, Buffer.from(widened).toString("base64url"), signature].join(".") });
    // A good one is for WebSockets alone.
    const { host } = new URL(run.server.url.replace("nats:", "http:"));
    const authenticator = jwtAuthenticator(good.token, new TextEncoder().encode(good.seed));
    await expect(connect({ servers: host, authenticator })).rejects.toThrow(/uthorization/i);
    for (const text of ["", "#x", `${good.token}`, `${good.token}.SU`, `a.b.c.${good.seed}`])
      expect(() => readInvitation(text)).toThrow(/expected a link that pith fleet invite has printed/);
  });

  test("whose time is over are put out, and not let in again", async () => {
    const invitation = readInvitation(await invite(`${folder}/server`, 1.5 / 3600));
    const nc = await joinAsGuest(invitation, run.gate.origin);
    expect(String(await nc.closed())).toMatch(/xpired|uthorization|refused/);
    // A token's time is in whole seconds, and the server takes it to the end of its last one.
    await new Promise((resolve) => setTimeout(resolve, 1000));
    await expect(joinAsGuest(invitation, run.gate.origin)).rejects.toThrow(/uthorization|expired|refused/i);
  });

  test("that come by a page of another site, or by another path, are refused at the door", async () => {
    const status = (path: string, headers: Record<string, string>) =>
      fetch(`${run.gate.origin}${path}`, { headers }).then((response) => response.status);
    expect(await status("/weights/../../etc/passwd", {})).toBe(404);
    expect(await status("/..%2f..%2fetc/passwd", {})).toBe(404);
    expect(await status(`/weights/${"ab".repeat(32)}`, {})).toBe(404);
    expect(await status("/keys.json", {})).toBe(404);
    const upgraded = (origin: string) =>
      new Promise<boolean>((resolve) => {
        // Node's sends an Origin as a browser's page does.
        const socket = new WebSocket(`${run.gate.origin.replace("http", "ws")}/nats`, { headers: { origin } } as never);
        socket.onopen = () => (socket.close(), resolve(true));
        socket.onerror = () => resolve(false);
      });
    expect(await upgraded(run.gate.origin)).toBe(true);
    expect(await upgraded("https://elsewhere.example")).toBe(false);
  });

  test("whose messages are oversized, malformed or answer nothing are refused, and said once", async () => {
    const { nc, id } = await run.joined();
    const { task } = (await run.ask(nc, id, "task")) as { task: Task };
    expect(task.weights).toMatch(/^[0-9a-f]{64}$/);
    expect(await run.ask(nc, id, "task")).toHaveProperty("task");
    expect(await run.ask(nc, id, "task")).toEqual({ wait: "this tab has 2 tasks already" });
    const said = run.gate.said.length;
    const output = { tokenIds: [5, 0], logprobs: [-1, -2], finishReason: "stop" as const };
    const { weights, draw, promptId, firstSample } = task;
    const answer = { weights, draw, kind: "ab".repeat(32), promptId, firstSample, outputs: [output, output] };
    const whole = encodeResult(answer);
    for (const bytes of [new Uint8Array(), whole.subarray(0, 40), Uint8Array.of(...whole, 0)])
      expect(await run.ask(nc, id, "result", bytes)).toMatchObject({
        refused: expect.stringMatching(/a result of \d+ bytes/),
      });
    const forged = encodeResult({ ...answer, promptId: 77 });
    expect(await run.ask(nc, id, "result", forged)).toEqual({ refused: "it answers no task that this guest holds" });
    expect(await run.ask(nc, id, "probe", "x")).toMatchObject({ refused: expect.stringMatching(/expected a probe/) });
    expect(await run.ask(nc, id, "nonsense")).toMatchObject({
      refused: expect.stringMatching(/expected policy, probe/),
    });
    expect(run.gate.said.slice(said).filter((line) => line.includes(id.slice(0, 9)))).toEqual([
      expect.stringMatching(/^refused a message of guest U\w{8}: a result of 0 bytes/),
    ]);
    const other = await run.joined();
    expect(nc.info!.max_payload).toBe(2 ** 20);
    Object.assign(nc.info!, { max_payload: 2 ** 24 }); // what an honest client holds itself to
    const ends = (async () => {
      for await (const { type, error } of nc.status() as AsyncIterable<{ type: string; error?: Error }>)
        if (error || type === "disconnect") return error?.message ?? type;
      return "";
    })();
    nc.publish(`gate.${id}.result`, new Uint8Array(2 ** 20 + 1));
    expect(await ends).toMatch(/Maximum Payload Violation|disconnect/);
    expect(await run.ask(other.nc, other.id, "policy")).toHaveProperty("policy");
    await Promise.all([nc.close(), other.nc.close()]);
  });
});
