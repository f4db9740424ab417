/**
 * Compiles every pipeline that sampling and training of the models' shapes record on the adapter at hand, which scripts/compilers.sh
 * makes one that compiles and runs nothing, and prints what its compiler says of each: registers, occupancy, workgroup memory, spills.
 *
 *     node --import ./scripts/wgsl-hook.js scripts/compilers/pipelines.ts TIER STATISTICS [PATTERN]
 *
 * STATISTICS is the file that layer.c writes. PATTERN: only pipelines whose line matches. Exits with 1 where one does not compile.
 */
import { readFileSync } from "node:fs";
import { LLM } from "../../src/engine/llm.ts";
import { compileErrors, compileModule, createPipeline, type Kernel, type Module } from "../../src/gpu/kernel.ts";
import { fixedSubgroupSize } from "../../src/gpu/subgroup-size.ts";
import { planningGpu } from "../../src/gpu/planning-gpu.ts";
import type { Storage } from "../../src/gpu/tensor.ts";
import { matrixKernel, tileName, tilesOf, VARIANTS } from "../../src/kernels/linear-matrix.ts";
import { MODELS } from "../../src/measure/models.ts";
import { packSequences } from "../../src/model/batch.ts";
import { parameterShapes, type ModelConfig } from "../../src/model/config.ts";
import { Model, STORAGE, type ModelDType } from "../../src/model/model.ts";
import { openGpu } from "../../src/runtime/node.ts";
import { AdamW } from "../../src/train/optimizer.ts";
import { policyGradient, recordLogprobs } from "../../src/train/policy.ts";

const [tier, statistics, pattern] = process.argv.slice(2);
const gpu = await openGpu(undefined, tier);

interface Wanted {
  kernel: Kernel;
  entryPoint: string;
  storage: Storage;
  constants: Record<string, number>;
  /** Of what it is for: the tile, or the models. */
  notes: Set<string>;
}

const wanted = new Map<string, Wanted>();
const ids = new Map<string, number>();
const idOf = (text: string): number => ids.get(text) ?? (ids.set(text, ids.size), ids.size - 1);

function want(kernel: Kernel, entryPoint: string, storage: Storage, constants: Record<string, number>, note: string) {
  const key = [idOf(kernel.includes.join("\n") + kernel.source), entryPoint, storage, JSON.stringify(constants)].join();
  const known = wanted.get(key);
  if (known) known.notes.add(note);
  else wanted.set(key, { kernel, entryPoint, storage, constants, notes: new Set([note]) });
}

let note = "";
const plan = planningGpu(
  {
    onKernel(kernel, entryPoint, { buffers, constants = {} }) {
      const pair = Object.entries(buffers).find(([name]) => kernel.pairs.has(name));
      want(kernel, entryPoint, pair?.[1].dtype === "bf16" ? "bf16" : "f32", constants, note);
    },
  },
  gpu,
);

/** Layers are all alike, and contexts decide on nothing but loops. */
const shortened = (config: ModelConfig): ModelConfig => ({
  ...config,
  numLayers: 1,
  maxPositionEmbeddings: Math.min(config.maxPositionEmbeddings, 4096),
});

const SAMPLING = [
  { temperature: 1, topK: 0, topP: 1 },
  { temperature: 0.6, topK: 20, topP: 0.95 },
  { temperature: 0, topK: 0, topP: 1 },
];
const ADAMW = { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.1, maxGradNorm: 1 };
const LOSS = { epsilon: 0.2, beta: 0.1, klEstimator: "k3", temperature: 1 } as const;

async function record(config: ModelConfig, dtype: ModelDType): Promise<void> {
  const parameters = Array.from(
    parameterShapes(config),
    ([name, shape]) => [name, plan.empty(shape, STORAGE[dtype])] as const,
  );
  const model = new Model(plan, config, dtype, new Map(parameters));
  for (const sampling of SAMPLING) {
    for (const maxNumSeqs of [1, 16, 64, 256]) {
      const llm = new LLM(model, { maxNumSeqs, maxModelLen: config.maxPositionEmbeddings, kvCacheBytes: 2 ** 32 });
      const length = maxNumSeqs === 1 ? Math.min(2048, config.maxPositionEmbeddings - 8) : 8;
      const requests = Array.from({ length: maxNumSeqs }, (_, promptId) => ({
        promptId,
        promptTokenIds: Array<number>(length).fill(0),
      }));
      await llm.generate(requests, { n: 1, maxTokens: 1, seed: 0, stopTokenIds: [], ...sampling });
      llm.dispose();
    }
  }
  for (const stochasticRounding of [undefined, { seed: 1 }]) {
    const optimizer = await AdamW.create(model, { ...ADAMW, ...(stochasticRounding && { stochasticRounding }) });
    for (const lengths of [[64, 64], [4096]]) {
      const batch = packSequences(
        lengths.map((length) => new Uint32Array(Math.min(length, config.maxPositionEmbeddings))),
      );
      const values = () => new Float32Array(batch.tokenIds.length);
      await recordLogprobs(model, batch, LOSS);
      const targets = { weights: values(), advantages: values(), oldLogprobs: values(), refLogprobs: values() };
      await policyGradient(model, optimizer.gradients, batch, targets, { ...LOSS, recompute: true });
    }
    await optimizer.recordNorm(plan);
    await optimizer.apply(1, 1e-6);
  }
}

for (const name of ["reasoner", "qwen2.5-0.5b", "r1-1.5b"]) {
  for (const dtype of ["float32", "bfloat16"] as const) {
    note = `${name} ${dtype}`;
    await record(shortened(MODELS[name]!), dtype);
  }
}
if (gpu.matrices) {
  for (const tile of tilesOf(gpu, gpu.matrices)) {
    for (const { product, rowsFrom } of VARIANTS)
      want(matrixKernel(gpu.matrices, tile, rowsFrom, product), product, "bf16", {}, tileName(gpu.matrices, tile));
  }
}

// ---- what the compiler says ----------------------------------------------------------------------------------------------

interface Compiled {
  ms: number;
  executables: Record<string, number | string | boolean>[];
}

/** Drivers name the same things differently. */
function describe({ ms, executables: [first] }: Compiled): string {
  if (!first) return `compiles, ${Math.round(ms)} ms`;
  const of = (...names: string[]) => names.map((name) => first[name]).find((value) => value !== undefined);
  const sum = (...names: string[]) => names.reduce((total, name) => total + Number(first[name] ?? 0), 0);
  const registers = of("Number of GPRs", "VGPRs", "Max live registers");
  const waves = of("Max warps/SM", "Subgroups per SIMD");
  const shared = of("LDS size", "LDS Size", "Workgroup Memory Size") ?? 0;
  const scratch = of("SLM size", "Scratch size", "Scratch Memory Size") ?? 0;
  const spills = sum("Spills to memory", "Fills from memory", "Spilled VGPRs", "Spills", "Fills");
  const instructions = of("Instruction count", "Instructions", "Instruction Count");
  return `${registers} registers, ${waves ?? "?"} resident, ${shared} B shared, ${scratch} B scratch, ${spills} spills, ${instructions} instructions, ${Math.round(ms)} ms`;
}

const lines = () => readFileSync(statistics!, { encoding: "utf8", flag: "a+" }).trimEnd().split("\n");
const modules = new Map<string, Module>();
let failures = 0;
const { info, matrices } = gpu;
const shape = matrices ? `, matrices ${matrices.m} x ${matrices.n} x ${matrices.k} ${matrices.component}` : "";
console.log(`# ${gpu.name}: ${gpu.tier}, subgroups ${info.subgroupMinSize} to ${info.subgroupMaxSize}${shape}`);
for (const { kernel, entryPoint, storage, constants, notes } of wanted.values()) {
  const sizes = kernel.includes
    .join(" ")
    .matchAll(/const (LANES|QUERIES|KEYS|HEAD|HEAD_PAIRS|BLOCKS|SHARES) = (\d+)u;/g);
  const tile = Array.from(sizes, ([, name, value]) => `${name}=${value}`).join(" ");
  const label = `${kernel.name}.${entryPoint} ${storage} [${[...notes].join(", ")}] ${tile}`;
  if (pattern && !new RegExp(pattern).test(label)) continue;
  const text = `${storage} ${idOf(kernel.includes.join("\n") + kernel.source)}`;
  gpu.device.pushErrorScope("validation");
  gpu.device.pushErrorScope("internal");
  const known = modules.get(text);
  const module =
    known ??
    compileModule(gpu.device, kernel, storage, fixedSubgroupSize({ features: gpu.device.features, info: gpu.info }));
  modules.set(text, module);
  const errors = known ? [] : await compileErrors(kernel, storage, module.module);
  createPipeline(gpu.device, kernel, module, entryPoint, constants);
  for (const scope of [await gpu.device.popErrorScope(), await gpu.device.popErrorScope()])
    if (scope) errors.push(scope.message.replaceAll(/\s+/g, " "));
  if (errors.length > 0) failures++;
  const verdict = errors.length > 0 ? `FAILS: ${errors[0]}` : describe(JSON.parse(lines().at(-1)!) as Compiled);
  console.log(`${label}: ${verdict}`);
}
process.exit(failures > 0 ? 1 : 0);
