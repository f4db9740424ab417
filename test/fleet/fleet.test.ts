import { AckPolicy } from "@nats-io/jetstream";
import { nanos } from "@nats-io/transport-node";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dropRun, keysOf, joinFleet, taskConsumer, type Fleet } from "../../src/fleet/connection.ts";
import { FleetSource } from "../../src/fleet/fleet-source.ts";
import { FORMAT } from "../../src/fleet/messages.ts";
import { findServer, startServer, type Server } from "../../src/fleet/server.ts";
import { listWorkers } from "../../src/fleet/status.ts";
import { publishWeights } from "../../src/fleet/weights.ts";
import { LoraModel } from "../../src/model/lora.ts";
import type { Model } from "../../src/model/model.ts";
import { AdamW } from "../../src/train/optimizer.ts";
import { engineOf } from "../../src/train/rollout-source.ts";
import { Sampler } from "../../src/train/sampler.ts";
import { trainRl, type RlIteration, type RlSetup } from "../../src/train/rl.ts";
import type { RlOptions } from "../../src/train/rl-options.ts";
import { FuzzRandom } from "../helpers/fuzz.ts";
import { files, temporaryFolder } from "../helpers/host.ts";
import { ADAMW, TOY_RL, toySetup, weightDigest } from "../helpers/toy.ts";
import { freePort, Pith, titled } from "./processes.ts";
import { timeless } from "./training.ts";

const folder = temporaryFolder();
const OPTIONS: RlOptions = { ...TOY_RL, maxIterations: 3, learningRate: 0.01 };

let server: Server;
const workers: Pith[] = [];

const addWorker = (): Pith => {
  const worker = new Pith(["worker", "--fleet", server.workerUrl], { XDG_CACHE_HOME: `${folder}/cache` });
  workers.push(worker);
  return worker;
};

/** The run's queue, which takes back what was not heard of for so many milliseconds. */
const addTaskConsumer = ({ jsm }: Fleet, run: string, ackWait: number) =>
  jsm.consumers.add("TASKS", {
    durable_name: `workers-${run}`,
    filter_subject: `tasks.${run}`,
    ack_policy: AckPolicy.Explicit,
    ack_wait: nanos(ackWait),
    max_ack_pending: -1,
  });

/** When a worker has a task. */
async function inWork(fleet: Fleet, run: string): Promise<void> {
  while (((await taskConsumer(fleet, run))?.num_ack_pending ?? 0) === 0) await sleep(5);
}

async function outcome(setup: RlSetup, options: RlOptions, source?: FleetSource) {
  const iterations: RlIteration[] = [];
  for await (const iteration of trainRl(setup, options, source ? { source } : {})) iterations.push(iteration);
  return { iterations: timeless(iterations), weights: await weightDigest(setup.model) };
}

/** Adapters beside the toy model. */
async function adaptedSetup(dtype: Model["dtype"]): Promise<RlSetup> {
  const setup = await toySetup(dtype);
  const lora = { r: 4, alpha: 8, useRslora: false, targetModules: "all-linear", baseModel: "toy" } as const;
  const model = await LoraModel.create(setup.model, lora, { seed: 1 });
  return { ...setup, model, reference: setup.model, optimizer: await AdamW.create(model, ADAMW) };
}

function sourceOf(fleet: Fleet, run: string, setup: RlSetup): FleetSource {
  return new FleetSource(fleet, run, setup.model, {
    engine: OPTIONS.engine,
    files,
    dir: `${folder}/${run}`,
    openReference: setup.model.base ? null : () => setup.reference!.clone(),
    onWarning: () => {},
  });
}

/** A trainer that leaves its reference's part to whoever draws. */
const scoredByWorkers = (setup: RlSetup): RlSetup => ({
  ...setup,
  reference: null,
  openReference: () => Promise.reject(new Error("expected the workers to score")),
});

describe.skipIf(findServer() === null)(titled("a fleet"), () => {
  beforeAll(async () => {
    server = await startServer(`${folder}/server`, { host: "127.0.0.1", port: await freePort(), note: () => {} });
    addWorker();
    addWorker();
    for (const worker of workers) await worker.says(/waits for a run/);
  }, 300_000);

  afterAll(async () => {
    for (const worker of workers) worker.kill("SIGINT");
    const codes = await Promise.all(workers.map(({ ended }) => ended));
    await server?.stop();
    for (const [i, code] of codes.entries()) expect([130, null], workers[i]!.said).toContain(code);
  }, 60_000);

  test.each([
    ["all weights", "float32", 0, 0],
    ["all weights", "float32", 1, 0],
    ["all weights", "bfloat16", 0, 3],
    ["adapters", "bfloat16", 1, 0],
  ] as const)(
    "draws what the trainer's own device draws: metrics, completions and weights are equal to the bit (%s, %s, lag %i, %i screened)",
    async (trained, dtype, lag, screenGenerations) => {
      const options = { ...OPTIONS, lag, screenGenerations, dynamicSampling: screenGenerations > 0 ? 2 : 0 };
      const make = () => (trained === "adapters" ? adaptedSetup(dtype) : toySetup(dtype));
      const alone = await outcome(await make(), options);
      const { metrics: last } = alone.iterations.at(-1)!;
      if (screenGenerations > 0) expect(last["dynamic_sampling/rounds"]).toBeGreaterThan(0);
      const setup = await make();
      const source = sourceOf(await joinFleet(server.url, "test"), `toy-${dtype}-${lag}`, setup);
      const together = await outcome(scoredByWorkers(setup), options, source);
      const metrics = source.takeMetrics();
      const shares = source.takeShares();
      await source.close({ done: true });
      expect(together).toEqual(alone);
      expect(shares.reduce((sum, { tokens }) => sum + tokens, 0)).toBe(last.num_sampled_tokens);
      expect(shares.every(({ adapter, responses }) => adapter !== null && responses > 0)).toBe(true);
      expect(source.takeShares()).toEqual([]);
      expect(metrics).toMatchObject({ "fleet/refused": 0, "fleet/requeued": 0, "fleet/replayed": 0 });
      // The other may still be loading what one has drawn from.
      expect(metrics["fleet/workers_same_kind"]).toBeGreaterThan(0);
      expect(metrics["fleet/worker_idle"]).toBeGreaterThan(0);
      expect(metrics["fleet/worker_idle"]).toBeLessThan(1);
      // Each version of the policy goes out once, whoever is asked how often for what it draws; what adapters are beside and the reference, once.
      const bytesOf = async (model: Model, saved: string) => {
        await model.save(files, saved);
        const sizes = await Promise.all((await files.list(saved)).map((name) => files.size(`${saved}/${name}`)));
        return sizes.reduce((sum, bytes) => sum + bytes, 0);
      };
      const saved = `${folder}/saved-${dtype}-${lag}`;
      const { model } = setup;
      const frozen = await bytesOf(setup.reference!, `${saved}-reference`);
      expect(metrics["fleet/weights_bytes"]).toBe(frozen + (3 - lag) * (await bytesOf(model, saved)));
    },
    300_000,
  );

  test("what is drawn beside the training is the workers' too, and what older weights are drawing comes first", async () => {
    const setup = await toySetup("float32");
    const source = sourceOf(await joinFleet(server.url, "test"), "toy-beside", setup);
    const requests = [0, 1, 2, 3].map((promptId) => ({ promptId, promptTokenIds: [2, 3] }));
    const params = { n: 4, temperature: 1, topK: 0, topP: 1, maxTokens: 16, seed: 3, stopTokenIds: [0] };
    const own = () => new Sampler(setup.model, OPTIONS.engine).generate(requests, params);
    const before = await own();
    const ahead = await source.begin(requests, params, { signal: undefined, steps: 0, scored: false });
    await outcome(setup, { ...OPTIONS, maxIterations: 1 });
    const beside = await engineOf(source, setup.optimizer).generate(requests, params);
    const after = await own();
    expect(beside).toEqual(after);
    expect(await ahead.outputs).toEqual(before);
    expect(before).not.toEqual(after);
    const drawn = source.takeShares().reduce((sum, { responses }) => sum + responses, 0);
    expect(drawn).toBe(2 * 16);
    expect(source.takeMetrics()).toMatchObject({ "fleet/refused": 0, "fleet/requeued": 0, "fleet/duplicates": 0 });
    await source.close({ done: true });
  }, 300_000);

  test("messages of strangers are refused, and change nothing", async () => {
    const alone = await outcome(await toySetup("float32"), OPTIONS);
    const setup = await toySetup("float32");
    const fleet = await joinFleet(server.url, "test");
    const source = sourceOf(fleet, "toy-strangers", setup);
    const sent = { broken: 0 };
    const results = fleet.nc.subscribe("groups.toy-strangers.*.*");
    const disturb = async () => {
      for await (const { subject, data } of results) {
        const [, , worker, draw] = subject.split(".");
        if (worker === "stranger") continue;
        const random = new FuzzRandom(sent.broken);
        for (let i = 0; i < 5; i++) {
          const cut = Uint8Array.from(data).subarray(0, random.below(data.length));
          await fleet.js.publish(`groups.toy-strangers.stranger.${draw}`, cut);
          await fleet.js.publish("tasks.toy-strangers", cut);
          sent.broken++;
        }
      }
    };
    const disturbed = disturb();
    const together = await outcome(setup, OPTIONS, source);
    const metrics = source.takeMetrics();
    results.unsubscribe();
    await disturbed;
    await source.close({ done: true });
    expect(together).toEqual(alone);
    expect(sent.broken).toBeGreaterThan(100);
    expect(metrics["fleet/refused"]).toBeGreaterThan(0);
    expect(workers.some(({ said }) => /refused a task of \d+ bytes: expected/.test(said))).toBe(true);
  }, 300_000);

  test("a worker whose adapter computes other bits waits and says why", async () => {
    const setup = await toySetup("float32");
    const fleet = await joinFleet(server.url, "test");
    const announced = {
      ...(await publishWeights(fleet, "toy-kind", setup.model, files, `${folder}/toy-kind`)),
      format: FORMAT,
      dtype: "float32",
      maxModelLen: 32,
      engine: { blockSize: 16, maxNumSeqs: 8 },
      kind: "ab".repeat(32),
    };
    await fleet.runs.put("toy-kind", JSON.stringify(announced));
    await workers[0]!.says(
      /run toy-kind: waits: the run wants log-probabilities of kind abababab, those of .* are of kind [0-9a-f]{8}/,
    );
    const there = await listWorkers(fleet, "toy-kind");
    expect(there.some(({ state }) => state.startsWith("waits: the run wants"))).toBe(true);
    // To ask again and again who is there, and for a run, leaves nothing at the server.
    for (const bucket of ["KV_runs", "KV_workers"])
      expect((await fleet.jsm.streams.info(bucket)).state.consumer_count, bucket).toBe(0);
    await dropRun(fleet, "toy-kind");
    expect(await keysOf(fleet, "runs")).not.toContain("toy-kind");
    await fleet.nc.close();
  }, 300_000);

  test("a worker killed, one stopped past the wait for its word, and the server killed change nothing", async () => {
    const options = { ...OPTIONS, lag: 1, maxIterations: 5, numGenerations: 8 };
    const alone = await outcome(await toySetup("float32"), options);
    const setup = await toySetup("float32");
    const fleet = await joinFleet(server.url, "test");
    const run = "toy-disturbed";
    await addTaskConsumer(fleet, run, 2000);
    const source = sourceOf(fleet, run, setup);
    const disturb = async () => {
      const [first, second] = workers as [Pith, Pith];
      await inWork(fleet, run);
      first.kill("SIGKILL");
      await inWork(fleet, run);
      second.kill("SIGSTOP");
      // Nobody samples until the third does, which takes longer than the wait for the second's word.
      await addWorker().says(/samples/);
      await inWork(fleet, run);
      second.kill("SIGCONT");
      process.kill(server.pid(), "SIGKILL");
    };
    const [together] = await Promise.all([outcome(setup, options, source), disturb()]);
    await source.close({ done: true });
    expect(together).toEqual(alone);
  }, 300_000);
});
