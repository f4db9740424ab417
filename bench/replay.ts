/**
 * What it takes to draw responses again beside sampling them: task by task as the gate does with what guests send, and all at once
 * as `pith verify RUN` does. 1,000 responses of the bundled reasoner; 1 if any is not drawn as it was.
 *
 *     node --import ./scripts/wgsl-hook.js bench/replay.ts
 */
import process from "node:process";
import { files, openSources } from "../src/cli/host.ts";
import { shipped } from "../src/cli/shipped.ts";
import { LLM, type RequestOutput } from "../src/engine/llm.ts";
import { Draw } from "../src/fleet/draw.ts";
import { replayResult } from "../src/fleet/gate/replay-result.ts";
import { MOST_TASKS } from "../src/fleet/gate/visitor.ts";
import { paramsOf, requestOf, type Result, type Task } from "../src/fleet/messages.ts";
import { Model } from "../src/model/model.ts";
import { loadConfig } from "../src/run/config.ts";
import { openGpu } from "../src/runtime/node.ts";
import { MicroBatches } from "../src/train/micro-batches.ts";
import { replay } from "../src/train/replay.ts";
import { askProblems } from "../src/train/rollouts.ts";

const PROMPTS = 500;
const KIND = "here";

const config = await loadConfig(files, [shipped("configs/start.toml")], {});
const gpu = await openGpu(process.env["PITH_ADAPTER"]);
const { modelDir, tokenizer, task, stopTokenIds } = await openSources(config);
const model = await Model.load(gpu, files, modelDir, { dtype: config.model.dtype });
const { max_completion_length: limit, temperature } = config.eval;
const params = { n: 2, temperature, topK: 0, topP: 1, minP: 0, maxTokens: limit, seed: 1, stopTokenIds };
const requests = askProblems(tokenizer, task, task.test.slice(0, PROMPTS), 0);
const { maxPositionEmbeddings: maxModelLen, vocabSize } = model.config;
const { tasks } = new Draw(requests, params, { weights: "", reference: null, kind: KIND, vocabSize, maxModelLen });

/** What `work` gives, and the seconds that it took on the clock and of the processor. */
async function timed<T>(work: () => Promise<T>): Promise<{ value: T; wall: number; cpu: number }> {
  const before = { at: performance.now(), ...process.cpuUsage() };
  const value = await work();
  const { user, system } = process.cpuUsage();
  const cpu = (user - before.user + system - before.system) / 1e6;
  return { value, wall: (performance.now() - before.at) / 1000, cpu };
}

/** As a guest samples them: so many tasks at a time as the gate gives it. */
async function sampleTasks(llm: LLM, wanted: readonly Task[]): Promise<Result[]> {
  const results: Result[] = [];
  const waiting = wanted.entries();
  const guest = async () => {
    for (const [i, one] of waiting) {
      const { outputs } = await llm.addRequest(requestOf(one), paramsOf(one));
      const { weights, draw, promptId, firstSample } = one;
      results[i] = { weights, draw, kind: KIND, promptId, firstSample, outputs };
    }
  };
  await Promise.all(Array.from({ length: MOST_TASKS }, guest));
  return results;
}

/** How many responses are drawn otherwise. */
async function replayTasks(wanted: readonly Task[], results: readonly Result[]): Promise<number> {
  let otherwise = 0;
  for (const [i, result] of results.entries()) {
    const { agreement } = await replayResult(model, wanted[i]!, result, KIND);
    otherwise += agreement.drawnOtherwise + agreement.logprobsOtherwise;
  }
  return otherwise;
}

async function replayAll(drawn: readonly RequestOutput[]): Promise<number> {
  const claims = drawn.flatMap(({ promptId, promptTokenIds, outputs }) =>
    outputs.map((output) => ({ ...output, promptId, promptTokenIds })),
  );
  const batches = new MicroBatches(config.train.tokens_per_micro_batch);
  return (await replay(model, batches, claims, { ...params, maxModelLen })).length;
}

let otherwise = 0;
/** One way of sampling and replaying; a few first, for kernels to be compiled. */
async function compare<R>(name: string, sample: (count: number) => Promise<R>, again: (drawn: R) => Promise<number>) {
  await again(await sample(8));
  const sampling = await timed(() => sample(PROMPTS));
  const replaying = await timed(() => again(sampling.value));
  otherwise += replaying.value;
  const seconds = ({ wall, cpu }: typeof replaying | typeof sampling) => `${wall.toFixed(1)} | ${cpu.toFixed(1)}`;
  const share = (what: "wall" | "cpu") => (replaying[what] / sampling[what]).toFixed(2);
  console.log(`| ${name} | ${seconds(sampling)} | ${seconds(replaying)} | ${share("wall")} | ${share("cpu")} |`);
}

console.log(`${gpu.name}, ${2 * PROMPTS} responses\n`);
console.log("| | sampling, s | of the processor | replaying, s | of the processor | share | of the processor |");
console.log("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
const llm = new LLM(model, { maxModelLen, maxNumSeqs: 128 });
await compare(
  `${MOST_TASKS} tasks at a time`,
  (count) => sampleTasks(llm, tasks.slice(0, count)),
  (results) => replayTasks(tasks, results),
);
await compare(
  "128 sequences at a time",
  (count) => llm.generate(requests.slice(0, count), params),
  (drawn) => replayAll(drawn),
);
process.exit(otherwise === 0 ? 0 : 1);
