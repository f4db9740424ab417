import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { LLM } from "../../src/engine/llm.ts";
import { joinFleet } from "../../src/fleet/connection.ts";
import { FleetSource } from "../../src/fleet/fleet-source.ts";
import { findServer, startServer, type Server } from "../../src/fleet/server.ts";
import type { WorkerPolicy } from "../../src/fleet/worker-policy.ts";
import { trainRl, type RlIteration, type RlSetup } from "../../src/train/rl.ts";
import type { RlOptions } from "../../src/train/rl-options.ts";
import { files, temporaryFolder } from "../helpers/host.ts";
import { TOY_RL, toySetup, weightDigest } from "../helpers/toy.ts";
import { invite, openGate, openGuest, type Lie, type OpenGate, type OpenGuest } from "./guests.ts";
import { freePort, titled } from "./processes.ts";
import { timeless } from "./training.ts";

const folder = temporaryFolder();
const OPTIONS: RlOptions = { ...TOY_RL, maxIterations: 2, numSteps: 1, learningRate: 0.01 };

async function outcome(setup: RlSetup, options: RlOptions, source?: FleetSource) {
  const iterations: RlIteration[] = [];
  for await (const iteration of trainRl(setup, options, source ? { source } : {})) iterations.push(iteration);
  return { iterations: timeless(iterations), weights: await weightDigest(setup.model) };
}

/** An honest guest's tokens with one thing about them untrue. */
const LIES: Record<string, Lie> = {
  "a token": {
    result: (result) => changed(result, ({ tokenIds }) => ({ tokenIds: tokenIds.with(0, (tokenIds[0]! % 13) + 1) })),
  },
  "a log-probability": {
    result: (result) =>
      changed(result, ({ logprobs }) => ({ logprobs: logprobs.with(0, Math.fround(logprobs[0]! - 2 ** -20)) })),
  },
  "the seed": { task: (task) => ({ ...task, seed: task.seed + 1 }) },
  "the temperature": { task: (task) => ({ ...task, temperature: 0.5 }) },
};

const changed = (
  result: Parameters<NonNullable<Lie["result"]>>[0],
  change: (output: (typeof result)["outputs"][number]) => Partial<(typeof result)["outputs"][number]>,
) => ({ ...result, outputs: result.outputs.map((output, i) => (i === 0 ? { ...output, ...change(output) } : output)) });

const rounded = (values: Float32Array): Float32Array =>
  values.map((value, i) => (i % 10 === 0 ? value * (1 + 2 ** -22) : value));

/** An adapter that draws the same tokens, some of their log-probabilities with other last bits. */
const ROUNDS_OTHERWISE: Lie = {
  result: (result) => ({
    ...result,
    outputs: result.outputs.map((output) => ({
      ...output,
      logprobs: [...rounded(Float32Array.from(output.logprobs))],
    })),
  }),
  probe: (bytes) => {
    const words = Uint8Array.from(bytes).buffer;
    const logprobs = rounded(new Float32Array(words, words.byteLength / 2));
    new Float32Array(words, words.byteLength / 2).set(logprobs);
    return new Uint8Array(words);
  },
};

/** One that joins with the announced weights, and draws from those of one optimizer step more. */
function withOther(llm: LLM): Lie {
  const policy = (honest: WorkerPolicy): WorkerPolicy =>
    new Proxy(honest, {
      get: (target, name) => {
        if (name === "llm") return llm;
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === "function" ? (value.bind(target) as unknown) : value;
      },
    });
  return { policy };
}

async function otherWeights(): Promise<LLM> {
  const setup = await toySetup("float32");
  await outcome(setup, { ...OPTIONS, maxIterations: 1, learningRate: 1e-5 });
  return new LLM(setup.model, { maxModelLen: 32, maxNumSeqs: 8 });
}

describe.skipIf(findServer() === null)(titled("a gate"), () => {
  let server: Server;
  let gate: OpenGate;
  let replayed: number;
  let alone: Awaited<ReturnType<typeof outcome>>;

  beforeAll(async () => {
    server = await startServer(`${folder}/server`, { host: "127.0.0.1", port: await freePort(), note: () => {} });
    gate = await openGate(server, folder);
    alone = await outcome(await toySetup("float32"), OPTIONS);
  }, 180_000);

  afterAll(async () => {
    await gate?.close();
    await server?.stop();
  });

  const guests: OpenGuest[] = [];
  const newGuest = async (lie?: Lie): Promise<OpenGuest> => {
    const guest = await openGuest(gate, await invite(`${folder}/server`), lie);
    guests.push(guest);
    return guest;
  };

  afterEach(async () => {
    for (const guest of guests.splice(0)) await guest.close();
  });

  async function train(run: string, meanwhile: () => Promise<void>) {
    const setup = await toySetup("float32");
    const source = new FleetSource(await joinFleet(server.url, "trainer"), run, setup.model, {
      engine: OPTIONS.engine,
      files,
      dir: `${folder}/${run}`,
      openReference: () => setup.reference!.clone(),
      onWarning: () => {},
    });
    // The gate scores what guests draw, who hear of no reference.
    const openReference = () => Promise.reject(new Error("expected the gate to score"));
    const [together] = await Promise.all([
      outcome({ ...setup, reference: null, openReference }, OPTIONS, source),
      meanwhile(),
    ]);
    replayed = source.takeMetrics()["fleet/replayed"];
    await source.close({ done: true });
    return together;
  }

  test("lets guests alone sample a run: metrics, completions and weights are equal to the bit", async () => {
    const two = [await newGuest(), await newGuest()];
    expect(await train("honest", async () => {})).toEqual(alone);
    expect(two.map(({ lent }) => lent.refused)).toEqual([0, 0]);
    expect(replayed).toBe(alone.iterations.reduce((sum, { rollouts }) => sum + rollouts.length, 0));
    expect(two.reduce((sum, { lent }) => sum + lent.accepted, 0)).toBe(2 * 4 * 3);
    expect(gate.said.filter((line) => /refused|problem/.test(line))).toEqual([]);
  }, 240_000);

  test("catches each lie, shuts its guest out, and has its tasks drawn by others", async () => {
    const lies = { ...LIES, "the weights": withOther(await otherWeights()) };
    const together = await train("lies", async () => {
      const caught = Object.entries(lies).map(async ([name, lie]) => {
        const liar = await newGuest(lie);
        expect(String(await liar.nc.closed()), name).toMatch(/Revoked|Authorization|refused/i);
        expect(liar.lent, name).toMatchObject({
          accepted: 0,
          state: expect.stringMatching(/did not come from sampling/),
        });
      });
      await Promise.all(caught);
      await newGuest();
    });
    expect(together).toEqual(alone);
    expect(gate.said.filter((line) => /is shut out, for it did not draw what it sent/.test(line))).toHaveLength(5);
  }, 240_000);

  test("tells an adapter of another kind why it waits, and lets it in where any may come", async () => {
    const other = await newGuest(ROUNDS_OTHERWISE);
    const together = await train("kinds", async () => {
      await expect
        .poll(() => other.lent.state, { timeout: 20_000 })
        .toMatch(/takes adapters that compute the trainer's bits alone/);
      await other.close();
      await gate.close();
      gate = await openGate(server, folder, { requireKind: "any" });
      const liar = await newGuest({ ...ROUNDS_OTHERWISE, result: LIES["a token"]!.result! });
      expect(String(await liar.nc.closed())).toMatch(/Revoked|Authorization|refused/i);
      await newGuest(ROUNDS_OTHERWISE);
    });
    expect(together).toEqual(alone);
    expect(gate.said.filter((line) => line.endsWith("samples, on an adapter of another kind"))).toHaveLength(2);
  }, 240_000);
});
