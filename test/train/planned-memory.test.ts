import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { OutOfMemoryError } from "../../src/errors.ts";
import type { Gpu } from "../../src/gpu/gpu.ts";
import { splitGpu } from "../../src/gpu/split-gpu.ts";
import { positionBytes } from "../../src/measure/cost.ts";
import { LoraModel } from "../../src/model/lora.ts";
import { Model } from "../../src/model/model.ts";
import { planMemory, type Planned } from "../../src/train/memory-plan.ts";
import { AdamW, type AdamWOptions } from "../../src/train/optimizer.ts";
import { adamwOptions, engineOptions, loraConfig, rlOptions } from "../../src/train/options.ts";
import { trainRl } from "../../src/train/rl.ts";
import type { RlOptions } from "../../src/train/rl-options.ts";
import { runConfig } from "../../web/session/settings.ts";
import { tinyConfig } from "../helpers/models.ts";
import { makePlenty, scarceGpu, type ScarceGpu } from "../helpers/scarce-gpu.ts";
import { ADAMW, ADAMW_BF16, TOY_RL, toyTask, toyTokenizer } from "../helpers/toy.ts";

let devices: ScarceGpu[];
beforeAll(async () => {
  devices = await Promise.all([scarceGpu(), scarceGpu()]);
});
beforeEach(() => devices.forEach(makePlenty));
afterAll(() => {
  for (const { gpu } of devices) gpu.dispose();
});

const CONFIG = tinyConfig({ vocab_size: 14, max_position_embeddings: 32, tie_word_embeddings: false });
/** Nothing ends a response, and every prompt fills the rest, so that all sequences are as long as the plan takes them to be. */
const OPTIONS: RlOptions = {
  ...TOY_RL,
  numPrompts: 2,
  numGenerations: 2,
  numSteps: 1,
  maxIterations: 1,
  maxCompletionLength: 29,
  tokensPerMicroBatch: 128,
  recompute: true,
  engine: { maxModelLen: 32, maxNumSeqs: 4, kvCacheBytes: 2 ** 14 },
};
/** The page's, for a model whose context is as short, and with keys and values of as many sequences as of a 0.5B. */
const PAGE = runConfig(
  { alpha: 0.2, maxIterations: 1, numPrompts: 8, task: "" },
  { name: "", dir: "", rank: 16, width: CONFIG.hiddenSize, context: CONFIG.maxPositionEmbeddings },
  "",
);
const IN_A_TAB: RlOptions = {
  ...rlOptions(PAGE),
  engine: { ...engineOptions(PAGE), kvCacheBytes: 21 * 32 * positionBytes(CONFIG, "bf16") },
};
const LORA = { r: 8, alpha: 16, useRslora: false, targetModules: "all-linear", baseModel: null } as const;

/** An iteration: what it says of memory that ran out. */
async function run(
  gpu: Gpu,
  options: RlOptions,
  adamw: AdamWOptions,
  { lora, offloadReference }: Planned,
): Promise<string[]> {
  const said: string[] = [];
  const length = options.maxCompletionLength as number;
  const words = options.engine.maxModelLen! - length;
  const task = { ...toyTask(), render: () => Array(words).fill("a").join(" ") };
  const job = gpu.scope(); // what it leaves behind where it fails goes with it
  try {
    const random = () => Model.random(job, CONFIG, { dtype: "bfloat16", seed: 5 });
    const base = random();
    const model = lora ? await LoraModel.create(base, lora, { seed: 1 }) : base;
    const reference = lora ? base : offloadReference ? null : await base.clone();
    const openReference = { openReference: async () => Model.random(job, CONFIG, { dtype: "bfloat16", seed: 5 }) };
    const optimizer = await AdamW.create(model, adamw);
    const setup = { model, reference, optimizer, tokenizer: toyTokenizer(), task, stopTokenIds: [] };
    const iterations = trainRl({ ...setup, ...(offloadReference && openReference) }, options, {
      onWarning: (line) => void said.push(line),
    });
    for await (const { metrics } of iterations) expect(metrics["completions/mean_length"]).toBe(length);
    optimizer.dispose();
    for (const some of new Set([model, reference, base])) some?.dispose();
  } catch (error) {
    if (!(error instanceof OutOfMemoryError)) throw error;
    said.push(error.message);
  } finally {
    job.close();
  }
  return said;
}

test.each<{ what: string; options?: RlOptions; adamw: AdamWOptions; planned: Planned }>([
  { what: "all weights", adamw: ADAMW, planned: {} },
  { what: "state in bfloat16", adamw: ADAMW_BF16, planned: {} },
  {
    what: "optim.offload and model.offload_reference",
    adamw: { ...ADAMW, offload: true },
    planned: { offloadReference: true },
  },
  { what: "adapters", adamw: ADAMW, planned: { lora: LORA } },
  { what: "adapters and optim.offload", adamw: { ...ADAMW, offload: true }, planned: { lora: LORA } },
  {
    what: "adapters in a tab",
    options: IN_A_TAB,
    adamw: adamwOptions(PAGE),
    planned: { lora: loraConfig(PAGE) },
  },
  { what: "layers over two devices", adamw: ADAMW, planned: { layers: [1, 1] } },
])(
  "$what: a run completes in what is planned for it, and with 2% less says that memory ran out",
  async ({ options = OPTIONS, adamw, planned }) => {
    const { layers } = planned;
    const like = devices[0]!.gpu;
    const { totals, idle } = await planMemory(CONFIG, "bfloat16", options, adamw, { like, ...planned });
    const gpu = layers
      ? splitGpu(
          devices.map((device) => device.gpu),
          layers,
        )
      : like;
    const within = (share: number) => {
      totals.forEach((total, i) => (devices[i]!.capacity = share * (total - idle)));
      return run(gpu, options, adamw, planned);
    };
    expect(await within(1)).toEqual([]);
    const [first] = await within(0.98);
    expect(first).toMatch(/out of memory|expected memory|expected a buffer of at most/);
  },
);
