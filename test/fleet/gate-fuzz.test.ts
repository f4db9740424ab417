import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { taskConsumer } from "../../src/fleet/connection.ts";
import { encodeTask } from "../../src/fleet/messages.ts";
import { findServer } from "../../src/fleet/server.ts";
import { FuzzRandom, fuzzInputs } from "../helpers/fuzz.ts";
import { temporaryFolder } from "../helpers/host.ts";
import { titled } from "./processes.ts";
import { RUN, StrangeRun, TASKS } from "./strange-run.ts";

const folder = temporaryFolder();
const COUNT = fuzzInputs("gate", 300);
/** Messages of a guest in a second, fewer than the gate hears, and guests at once. */
const AT_ONCE = 40;
const GUESTS = 25;

describe.skipIf(findServer() === null)(titled("a gate"), () => {
  let run: StrangeRun;

  beforeAll(async () => {
    run = await StrangeRun.open(folder);
  }, 180_000);

  afterAll(() => run?.close());

  test(`gate: ${COUNT} messages of any content, and a flood, disturb nobody`, { timeout: 7_200_000 }, async () => {
    const good = await run.joined();
    const reply = await run.ask(good.nc, good.id, "task");
    if (!("task" in reply)) throw new Error(`expected a task, got ${JSON.stringify(reply)}`);
    const samples = [run.probed, encodeTask(reply.task), new TextEncoder().encode('{"format":1}')];
    const guests = await Promise.all(
      Array.from({ length: Math.min(GUESTS, Math.ceil(COUNT / AT_ONCE)) }, () => run.joined()),
    );
    const said = run.gate.said.length;
    let answers = 0;
    for (const { nc, id } of guests) nc.subscribe(`guest.${id}.fuzz`, { callback: () => void answers++ });
    for (let sent = 0; sent < COUNT;) {
      for (const { nc, id } of guests)
        for (let i = 0; i < AT_ONCE && sent < COUNT; i++) {
          const random = new FuzzRandom(sent++);
          const verb = random.pick(["policy", "probe", "task", "result", "result", "beat", "leave", "x"]);
          nc.publish(`gate.${id}.${verb}`, random.mutate(random.pick(samples)), { reply: `guest.${id}.fuzz` });
        }
      await sleep(1100);
    }
    const [flooding] = guests;
    for (let i = 0; i < 5000; i++) flooding!.nc.publish(`gate.${flooding!.id}.result`, "x");
    for (const { nc } of guests) await nc.flush();
    expect(await run.ask(good.nc, good.id, "policy")).toHaveProperty("policy");
    expect(answers).toBeGreaterThan(COUNT / 3);
    expect(guests.filter(({ nc }) => nc.isClosed())).toEqual([]);
    const lines = run.gate.said.slice(said);
    expect(lines.filter((line) => /problem|shut out/.test(line))).toEqual([]);
    for (const { id } of guests)
      expect(
        lines.filter((line) => line.startsWith(`refused a message of guest ${id.slice(0, 9)}`)).length,
      ).toBeLessThan(2);
    const info = (await taskConsumer(run.trainer, RUN))!;
    expect(info.num_pending + info.num_ack_pending).toBe(TASKS);
    await Promise.all([...guests, good].map(({ nc }) => nc.close()));
  });
});
