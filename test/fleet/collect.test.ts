import { AckPolicy, type Consumer } from "@nats-io/jetstream";
import { nanos } from "@nats-io/transport-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { collect, type CollectHost } from "../../src/fleet/collect.ts";
import {
  dropTasks,
  groupSubject,
  joinFleet,
  makeTaskConsumer,
  takeTasks,
  taskConsumer,
  type Fleet,
} from "../../src/fleet/connection.ts";
import { Draw } from "../../src/fleet/draw.ts";
import { decodeTask, encodeResult, type Task } from "../../src/fleet/messages.ts";
import { findServer, startServer, type Server } from "../../src/fleet/server.ts";
import { temporaryFolder } from "../helpers/host.ts";
import { freePort, titled } from "./processes.ts";

const folder = temporaryFolder();
const KIND = "cd".repeat(32);

const drawOf = (seed: number) =>
  new Draw(
    [
      { promptId: 7, promptTokenIds: [1, 2] },
      { promptId: 8, promptTokenIds: [3] },
    ],
    { n: 2, temperature: 1, topK: 0, topP: 1, maxTokens: 4, seed, stopTokenIds: [0] },
    { weights: "ab".repeat(32), reference: null, kind: KIND, vocabSize: 14, maxModelLen: 32 },
  );

/** What a worker might send. */
const answer = ({ weights, draw, promptId, firstSample, samples }: Task) =>
  encodeResult({
    weights,
    draw,
    kind: KIND,
    promptId,
    firstSample,
    outputs: Array.from({ length: samples }, () => ({ tokenIds: [5, 0], logprobs: [-1, -2], finishReason: "stop" })),
  });

const heard = () => {
  const counts = { fresh: 0, duplicate: 0, refused: 0, requeued: 0 };
  const host: CollectHost = {
    onNew: () => void counts.fresh++,
    onDuplicate: () => void counts.duplicate++,
    onRefused: () => void counts.refused++,
    onRequeued: (count) => void (counts.requeued += count),
    onWaiting: () => {},
  };
  return { counts, host };
};

const never = new AbortController().signal;

/** A task, null where there is none within a second: or no heartbeat, on a busy machine, after which a worker asks again too. */
const next = (consumer: Consumer) => consumer.next({ expires: 1000 }).catch(() => null);

describe.skipIf(findServer() === null)(titled("what a trainer collects"), () => {
  let server: Server;
  let fleet: Fleet;

  beforeAll(async () => {
    server = await startServer(`${folder}/server`, { host: "127.0.0.1", port: await freePort(), note: () => {} });
    fleet = await joinFleet(server.url, "test");
  }, 60_000);

  afterAll(async () => {
    await fleet?.nc.close();
    await server?.stop();
  });

  /** Answers the run's next `count` tasks. */
  async function work(run: string, worker: string, count: number): Promise<void> {
    const consumer = await takeTasks(fleet, run);
    for (let left = count; left > 0;) {
      const message = await next(consumer);
      if (!message) continue;
      const task = decodeTask(new Uint8Array(message.data));
      await fleet.js.publish(groupSubject(run, worker, task.draw), answer(task));
      message.ack();
      left--;
    }
  }

  test.concurrent("results that were there before count, and nobody is asked for them again", async () => {
    const run = "before";
    await makeTaskConsumer(fleet, run);
    const draw = drawOf(1);
    for (const worker of ["a", "b"]) await fleet.js.publish(groupSubject(run, worker, draw.id), answer(draw.tasks[0]!));
    const { counts, host } = heard();
    const [outputs] = await Promise.all([collect(fleet, run, draw, host, never), work(run, "c", 1)]);
    expect(outputs.map(({ promptId, outputs: all }) => [promptId, all.length])).toEqual([
      [7, 2],
      [8, 2],
    ]);
    expect(counts).toEqual({ fresh: 2, duplicate: 1, refused: 0, requeued: 0 });
    expect((await taskConsumer(fleet, run))!.num_pending).toBe(0);
  });

  test.concurrent("tasks that the server has lost are queued again", async () => {
    const run = "lost";
    await makeTaskConsumer(fleet, run);
    const { counts, host } = heard();
    const collected = collect(fleet, run, drawOf(2), host, never);
    while ((await taskConsumer(fleet, run))!.num_pending < 2) await new Promise((resolve) => setTimeout(resolve, 20));
    await dropTasks(fleet, run);
    await Promise.all([collected, work(run, "a", 2)]);
    expect(counts).toEqual({ fresh: 2, duplicate: 0, refused: 0, requeued: 2 });
  });

  test.concurrent("a task that no worker survives ends the run by its numbers", async () => {
    const run = "poison";
    await fleet.jsm.consumers.add("TASKS", {
      durable_name: `workers-${run}`,
      filter_subject: `tasks.${run}`,
      ack_policy: AckPolicy.Explicit,
      ack_wait: nanos(200),
      max_deliver: 2,
    });
    const ended = new AbortController();
    const dies = async () => {
      const consumer = await takeTasks(fleet, run);
      while (!ended.signal.aborted) await next(consumer); // and is not heard of again
    };
    const { counts, host } = heard();
    const dying = dies();
    await expect(collect(fleet, run, drawOf(3), host, never)).rejects.toThrow(
      /got none of 2 after they were queued 3 times: the first is prompt 7, samples 0 to 1/,
    );
    ended.abort();
    await dying;
    expect(counts).toMatchObject({ fresh: 0, requeued: 4 });
  });

  test("an end that is asked for is one at once", async () => {
    const run = "ended";
    await makeTaskConsumer(fleet, run);
    const controller = new AbortController();
    const collected = collect(fleet, run, drawOf(4), heard().host, controller.signal);
    controller.abort(new Error("enough"));
    await expect(collected).rejects.toThrow("enough");
  });
});
