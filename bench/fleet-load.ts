import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { groupSubject, joinFleet, makeTaskConsumer, takeTasks, taskSubject } from "../src/fleet/connection.ts";
import { Draw } from "../src/fleet/draw.ts";
import { decodeTask, encodeResult, encodeTask, type Task } from "../src/fleet/messages.ts";
import { readObject } from "../src/fleet/objects.ts";
import { findServer, startServer } from "../src/fleet/server.ts";

/**
 * How fleets of workers of the paper's 1.5B run would spend their time, and what their server would have to carry: a simulation with the
 * run's requests, split into tasks and encoded as they are sent, on workers that take a modelled time. Then what a server on this machine
 * carries of such messages and of weights, as fast as clients beside it ask. See docs/fleet.md.
 *
 *   node --import ./scripts/wgsl-hook.js bench/fleet-load.ts
 */

/** configs/paper-1.5b.toml. */
const PROMPTS = 32;
const GENERATIONS = 8;
const MOST_TOKENS = 32_000;
const PROMPT_TOKENS = 128;
/** Of a response, lognormal: R1-Distill's mean on the paper's training set is of this order, with a long tail. */
const MEAN_TOKENS = 5000;
const SIGMA = 0.8;
const WEIGHT_BYTES = 3.55e9;
/** Of a bf16 version, where every step is full-size. */
const DELTA_RATIO = 0.155;
/** Seconds of a decode step: weights read at 2 TB/s and 2 ms for launches; a sequence of 2,500 tokens' keys and values more. */
const stepSeconds = (sequences: number): number => 0.002 + (WEIGHT_BYTES + sequences * 2500 * 28_672) / 2e12;
/** Of the reference's pass over what a worker drew, at 100 TFLOPS: two operations a parameter and token. */
const scoreSeconds = (tokens: number): number => (2 * 1.777e9 * tokens) / 1e14;
/** Of an update at 100 TFLOPS: eight operations a parameter and token. */
const updateSeconds = (tokens: number): number => (8 * 1.777e9 * tokens) / 1e14;
const ITERATIONS = 10;

let state = 1;
/** Uniform in (0, 1), the same in each run of this script. */
function random(): number {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return (state + 0.5) / 2 ** 32;
}

function responseLength(): number {
  const normal = Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random());
  return Math.min(MOST_TOKENS, Math.max(1, Math.round(MEAN_TOKENS * Math.exp(SIGMA * normal - SIGMA ** 2 / 2))));
}

const drawOf = (seed: number) =>
  new Draw(
    Array.from({ length: PROMPTS }, (_, promptId) => ({
      promptId,
      promptTokenIds: Array.from({ length: PROMPT_TOKENS }, (_token, i) => i),
    })),
    { n: GENERATIONS, temperature: 1, topK: 0, topP: 1, maxTokens: MOST_TOKENS, seed, stopTokenIds: [0] },
    {
      weights: "ab".repeat(32),
      reference: "ef".repeat(32),
      kind: "cd".repeat(32),
      vocabSize: 151_936,
      maxModelLen: 32_512,
    },
  );

/** What a worker that draws so many tokens sends. */
const answerOf = ({ weights, draw, promptId, firstSample }: Task, lengths: readonly number[]) =>
  encodeResult({
    weights,
    draw,
    kind: "cd".repeat(32),
    promptId,
    firstSample,
    outputs: lengths.map((length) => ({
      tokenIds: [...Array.from<number>({ length: length - 1 }).fill(1), 0],
      logprobs: Array.from<number>({ length }).fill(-1),
      refLogprobs: Array.from<number>({ length }).fill(-1),
      finishReason: "stop",
    })),
  });

/** When each worker has drawn and scored its share of an iteration, in seconds from its start. */
function drawnAfter(workers: number, lengths: readonly number[][]): number[] {
  return Array.from({ length: workers }, (_, worker) => {
    const left = lengths
      .filter((_task, i) => i % workers === worker)
      .flat()
      .sort((a, b) => a - b);
    let time = 0;
    let done = 0;
    left.forEach((length, i) => {
      time += (length - done) * stepSeconds(left.length - i);
      done = length;
    });
    return time + scoreSeconds(left.reduce((sum, length) => sum + length + PROMPT_TOKENS, 0));
  });
}

/** The tokens of each task's samples in each iteration, and the bytes of all messages, in and out again. */
const ITERATION_TASKS = Array.from({ length: ITERATIONS }, (_, iteration) => {
  const { tasks } = drawOf(iteration);
  const lengths = tasks.map(({ samples }) => Array.from({ length: samples }, responseLength));
  const sizes = tasks.map((task, i) => encodeTask(task).length + answerOf(task, lengths[i]!).length);
  return { tasks, lengths, bytes: 2 * sizes.reduce((sum, size) => sum + size, 0) };
});

function simulate(workers: number, lag: number) {
  let [total, busy, waited, bytes, messages] = [0, 0, 0, 0, 0];
  for (const { lengths, bytes: sent } of ITERATION_TASKS) {
    const times = drawnAfter(workers, lengths);
    const sampling = Math.max(...times);
    const update = updateSeconds(lengths.flat().reduce((sum, length) => sum + length + PROMPT_TOKENS, 0));
    const time = lag === 0 ? sampling + update : Math.max(sampling, update);
    total += time;
    busy += times.reduce((sum, one) => sum + one, 0);
    waited += time - update;
    bytes += sent;
    // A task is put, taken, kept and acknowledged; its result is put and read. A worker says each 10 s that a task goes on and how it
    // is, and asks once a second where there is none.
    const idleSeconds = workers * time - times.reduce((sum, one) => sum + one, 0);
    messages += 10 * lengths.length + (workers * time) / 5 + 2 * idleSeconds;
  }
  return {
    workers,
    lag,
    "s an iteration": (total / ITERATIONS).toFixed(0),
    "workers idle": `${(100 * (1 - busy / (workers * total))).toFixed(0)}%`,
    "trainer waits": `${((100 * waited) / total).toFixed(0)}%`,
    "messages/s": (messages / total).toFixed(0),
    "results MB/s": (bytes / total / 1e6).toFixed(2),
    "weights MB/s": ((DELTA_RATIO * WEIGHT_BYTES * workers * ITERATIONS) / total / 1e6).toFixed(0),
  };
}

console.table([8, 64, 512].flatMap((workers) => [0, 1].map((lag) => simulate(workers, lag))));
console.table([1, 2, 4].flatMap((workers) => [0, 1].map((lag) => simulate(workers, lag))));

const RUN = "trial";
const PORT = 14_222;
/** Workers that take tasks at once, and who fetch the weights at once. */
const TAKERS = 16;
const FETCHERS = 4;
const TRIAL_WEIGHTS = 2 ** 28;

/** Seconds that `work` took. */
async function seconds(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

/** The iterations' tasks and results without the time that drawing takes, and a version of weights for several workers at once. */
async function carried() {
  const folder = mkdtempSync(join(tmpdir(), "pith-load-"));
  const server = await startServer(folder, { host: "127.0.0.1", port: PORT, note: console.error });
  try {
    const fleet = await joinFleet(server.url, "load");
    await makeTaskConsumer(fleet, RUN);
    const counted = ITERATION_TASKS.reduce((sum, { tasks }) => sum + tasks.length, 0);
    const put = () =>
      Promise.all(
        ITERATION_TASKS.flatMap(({ tasks }) =>
          tasks.map((task) => fleet.js.publish(taskSubject(RUN), encodeTask(task))),
        ),
      );
    const answers = new Map(
      ITERATION_TASKS.flatMap(({ tasks, lengths }) =>
        tasks.map((task, i) => [`${task.draw} ${task.promptId} ${task.firstSample}`, answerOf(task, lengths[i]!)]),
      ),
    );
    const take = async (_: unknown, worker: number) => {
      const consumer = await takeTasks(fleet, RUN);
      for (let message; (message = await consumer.next({ expires: 1000 }));) {
        const { draw, promptId, firstSample } = decodeTask(new Uint8Array(message.data));
        await fleet.js.publish(
          groupSubject(RUN, `worker${worker}`, draw),
          answers.get(`${draw} ${promptId} ${firstSample}`)!,
        );
        message.ack();
        if (message.info.pending === 0) return;
      }
    };
    const time = await seconds(async () => {
      await put();
      await Promise.all(Array.from({ length: TAKERS }, take));
    });
    const bytes = ITERATION_TASKS.reduce((sum, one) => sum + one.bytes, 0);
    const stored = await seconds(() => fleet.weights.putBlob({ name: RUN }, randomBytes(TRIAL_WEIGHTS)));
    const drain = async () => {
      let got = 0;
      for await (const piece of (await readObject(fleet, RUN))!) got += piece.length;
      if (got !== TRIAL_WEIGHTS) throw new Error(`expected ${TRIAL_WEIGHTS} bytes of weights, got ${got}`);
    };
    const fetched = await seconds(() => Promise.all(Array.from({ length: FETCHERS }, drain)));
    await fleet.nc.close();
    return {
      "tasks/s": (counted / time).toFixed(0),
      "messages/s": ((8 * counted) / time).toFixed(0), // put, asked for, given, kept and said so twice, acknowledged
      "tasks and results MB/s": (bytes / time / 1e6).toFixed(2),
      "weights in MB/s": (TRIAL_WEIGHTS / stored / 1e6).toFixed(0),
      "weights out MB/s": ((FETCHERS * TRIAL_WEIGHTS) / fetched / 1e6).toFixed(0),
    };
  } finally {
    await server.stop();
    rmSync(folder, { recursive: true });
  }
}

if (findServer() === null) console.log("no nats-server is found: what one carries is left out");
else console.table([await carried()]);
