/**
 * What the host does for a decode step of R1-Distill-Qwen-1.5B's shape: dispatches, and the time to encode and submit them. On
 * Dawn's null backend, where commands take no time: `npm run bench:encode`. Medians over many steps.
 */
import { readFileSync } from "node:fs";
import { create, globals } from "webgpu";
import { ModelRunner } from "../src/engine/model-runner.ts";
import { Sequence } from "../src/engine/sequence.ts";
import { DeviceGpu } from "../src/gpu/device-gpu.ts";
import { StreamRecorder } from "../src/gpu/stream-recorder.ts";
import type { Tensor } from "../src/gpu/tensor.ts";
import { parameterShapes, parseModelConfig } from "../src/model/config.ts";
import { Model } from "../src/model/model.ts";

const SHAPE = new URL("../configs/shapes/deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B.json", import.meta.url);
const STEPS = 96;
const STEPS_PER_SUBMIT = 8;
const CONTEXT = 128;
const BLOCK_SIZE = 16;

const median = (values: number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;

Object.assign(globalThis, globals);
const instance = create(["backend=null", "enable-dawn-features=allow_unsafe_apis"]);
const gpu = await DeviceGpu.open(await instance.requestAdapter());
const shape = JSON.parse(readFileSync(SHAPE, "utf8")) as Record<string, unknown>;
// The null backend has 512 MiB: a small vocabulary, which changes no number of dispatches, and one set of weights for all layers.
const config = parseModelConfig({ ...shape, vocab_size: 8192 }, "config.json");
const weights = new Map<string, Tensor>();
const parameters = new Map(
  Array.from(parameterShapes(config), ([name, dimensions]) => {
    const kind = name.replace(/layers\.\d+/, "layer");
    if (!weights.has(kind)) weights.set(kind, gpu.empty(dimensions, "bf16"));
    return [name, weights.get(kind)!];
  }),
);
const model = new Model(gpu, config, "bfloat16", parameters);

const { replay } = StreamRecorder.prototype;

/** Steps of `rows` sequences: dispatches, and milliseconds to encode and submit. */
async function decode(rows: number): Promise<{ perStep: number; ms: number }> {
  const perSequence = CONTEXT / BLOCK_SIZE;
  const runner = new ModelRunner(model, { numBlocks: rows * perSequence, blockSize: BLOCK_SIZE, maxLength: CONTEXT });
  const sequences = Array.from({ length: rows }, (_, row) => {
    const sequence = new Sequence({ promptId: row, tokenIds: [1], sharedBlocks: [], holders: 0 }, 0, CONTEXT);
    sequence.blocks = Array.from({ length: perSequence }, (__, block) => row * perSequence + block);
    return sequence;
  });
  const params = { n: 1, temperature: 1, topK: 0, topP: 1, maxTokens: STEPS, seed: 0, stopTokenIds: [] };
  const milliseconds: number[] = [];
  let perStep = 0;
  StreamRecorder.prototype.replay = function (recording) {
    const start = performance.now();
    replay.call(this, recording);
    milliseconds.push((performance.now() - start) / recording.lists.length);
    perStep = recording.lists[0]!.commands.length;
  };
  await runner.begin();
  for (let step = 0; step < STEPS; step += STEPS_PER_SUBMIT) await runner.decode(sequences, STEPS_PER_SUBMIT, params);
  runner.dispose();
  return { perStep, ms: median(milliseconds) };
}

console.log(`${config.numLayers} layers, tier ${gpu.tier}, Dawn's null backend`);
for (const rows of [1, 64]) {
  const { perStep, ms } = await decode(rows);
  const perLayer = Math.floor(perStep / config.numLayers); // the rest: embedding, last norm, logits, their normaliser, the draw
  console.log(
    `${rows} sequences: ${perStep} dispatches a step, ${perLayer} a layer; ${ms.toFixed(3)} ms a step to encode and submit, ` +
      `${((1000 * ms) / perStep).toFixed(2)} us a dispatch`,
  );
}
process.exit(0);
