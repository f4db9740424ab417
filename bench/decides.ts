/**
 * What decides how long an iteration takes on a GPU, first what decides most, each beside its plan: a row of a table as soon as it
 * is measured, so that what is cut off has said what it knows.
 *
 *     node --import ./scripts/wgsl-hook.js bench/decides.ts [--small]
 */
import type { Cost } from "../src/gpu/recorder.ts";
import { OutOfMemoryError } from "../src/errors.ts";
import { allocate, type KernelCase } from "../src/measure/kernel-case.ts";
import { attentionCases } from "../src/measure/kernels/attention.ts";
import { linearCases } from "../src/measure/kernels/linear.ts";
import { figures } from "../src/measure/markdown.ts";
import { MODELS, randomModel } from "../src/measure/models.ts";
import { roofNamed } from "../src/measure/roofs.ts";
import { measureRoof, roofSeconds } from "../src/measure/roof.ts";
import { Stopwatch, type Timing } from "../src/measure/stopwatch.ts";
import { rolloutsOf } from "../src/measure/engine.ts";
import { roofHere } from "../src/measure/roof-here.ts";
import { iteration, planIteration, trainStep } from "../src/measure/training.ts";
import { openGpu } from "../src/runtime/node.ts";

const small = process.argv.includes("--small");
const config = MODELS[small ? "reasoner" : "r1-1.5b"]!;
const sequences = small ? [128, 512] : [8192, 32768];
const contexts = small ? [64, 512] : [1024, 32768];
const batches = small ? [1, 8] : [1, 8, 64, 256];
const productRows = small ? [1, 64] : [8192, 64, 1];
const trained = small ? 256 : 8192;
const storage = "bf16";
const seconds = small ? 1 : 4;

const gpu = await openGpu(process.env["PITH_ADAPTER"]);
const known = roofNamed(gpu.name);
const roof = known
  ? {
      flops: { f32: known.flops.f32 * known.reached.flops, bf16: known.flops.bf16 * known.reached.flops },
      bytes: known.bytes * known.reached.bytes,
    }
  : await measureRoof(new Stopwatch(gpu));
console.log(
  `${gpu.name}, tier ${gpu.tier}. Planned: ${known ? `what is expected of ${known.name}'s figures` : "the fastest product and copy of this run"}.\n`,
);
console.log("| what | shape | ms | planned ms | of plan |\n| --- | --- | ---: | ---: | ---: |");

function rowOf(what: string, shape: string, { ms: { median } }: Timing, plannedSeconds: number): void {
  const planned = 1000 * plannedSeconds;
  console.log(
    `| ${what} | ${shape} | ${figures(median)} | ${figures(planned)} | ${figures((100 * planned) / median)}% |`,
  );
}

const row = (what: string, shape: string, timing: Timing, cost: Cost): void =>
  rowOf(what, shape, timing, roofSeconds(roof, storage, cost));

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);

/** A job of its own; what the adapter has no room for gets a row that says so. */
async function attempt(what: string, shape: string, work: (watch: Stopwatch) => Promise<void>): Promise<void> {
  const job = gpu.scope();
  try {
    await work(new Stopwatch(gpu, job));
  } catch (error) {
    if (!(error instanceof OutOfMemoryError)) throw error;
    console.log(`| ${what} | ${shape} | out of memory | | |`);
  } finally {
    job.close();
    await gpu.trim();
  }
}

const timed = (kernel: KernelCase) =>
  attempt(kernel.kernel, kernel.shape, async (watch) => {
    const tensors = allocate(watch.gpu, kernel);
    const timing = await watch.recorded((rec) => kernel.record(rec, tensors), seconds);
    row(kernel.kernel, kernel.shape, timing, kernel);
  });

const attention = (rows: number, context: number, kernel: RegExp) =>
  attentionCases({ config, storage, rows, context }).filter((one) => kernel.test(one.kernel));

for (const rows of sequences) for (const one of attention(rows, 1, /forward|backward/)) await timed(one);
for (const context of contexts)
  for (const rows of batches) for (const one of attention(rows, context, /paged/)) await timed(one);
for (const rows of productRows)
  for (const one of linearCases({ config, storage, rows, context: 1 })) if (one.flops > 0) await timed(one);
const step = trainStep(config, storage, trained);
await attempt(step.name, step.shape, async (watch) => {
  const model = randomModel(gpu, config, "bfloat16");
  try {
    for (const { name, timing, cost } of await step.run(watch, model, seconds)) row(name, step.shape, timing, cost);
  } finally {
    model.dispose();
  }
});
// By the plan that `pith train --dry-run --roof` prints.
const rollouts = rolloutsOf(config);
const whole = iteration(config, storage, "bfloat16", rollouts);
await attempt(whole.name, whole.shape, async (watch) => {
  const plannedBy = known ?? (await roofHere(gpu, config, "bfloat16"));
  const model = randomModel(gpu, config, "bfloat16");
  try {
    const lines = await whole.run(watch, model, seconds);
    const planned = await planIteration(config, "bfloat16", plannedBy, rollouts, lines[0]!.tokens!);
    for (const { name, timing } of lines)
      rowOf(
        name,
        whole.shape,
        timing,
        name in planned ? planned[name as keyof typeof planned] : sum(Object.values(planned)),
      );
  } finally {
    model.dispose();
  }
});
process.exit(0);
