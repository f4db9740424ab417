import { largestStage } from "../core/schedule.ts";
import process from "node:process";
import { GpuUnavailableError, PithError, UsageError } from "../errors.ts";
import type { DeviceGpu } from "../gpu/device-gpu.ts";
import { parameterShapes, parseModelConfig, type ModelConfig } from "../model/config.ts";
import { readModelConfig } from "../model/model.ts";
import type { Config } from "../run/config.ts";
import { renderPrompt } from "../tasks/prompt.ts";
import type { Task } from "../tasks/task.ts";
import { planMemory, type MemoryPlan } from "../train/memory-plan.ts";
import { bytes, files, modelFolder, openGpu, openSources, openTask, print } from "./host.ts";
import { requireAll } from "./devices.ts";
import { shipped } from "./shipped.ts";
import { planTime } from "../measure/time-plan.ts";
import { checkRoof, openRoof, printTime } from "./time-plan.ts";
import { proposeSettings, type Settings } from "../train/propose.ts";
import { adamwOptions, plannedOptions, rlOptions } from "../train/options.ts";

/** What the plan is compared with: WebGPU does not tell an adapter's memory. */
const DEFAULT_MEMORY = "80GB";

/** Bytes of `80GB`, `24GiB`, `512MB`. */
export function parseMemory(text: string): number {
  const [, number, prefix, binary] = /^(\d+(?:\.\d+)?)\s*([MGT])(i?)B$/i.exec(text) ?? [];
  if (number === undefined) throw new UsageError(`--memory: expected a size such as 80GB or 24GiB, got ${text}`);
  return Number(number) * (binary ? 1024 : 1000) ** ("MGT".indexOf(prefix!.toUpperCase()) + 2);
}

/**
 * `pith train --dry-run`: the resolved configuration, the memory that it takes on this machine's adapter against `memory`, and
 * where model and data are at hand the first prompt as the model will see it and which rows were left out. Nothing is downloaded
 * for a model of configs/shapes.
 */
export async function dryRunCommand(
  config: Config,
  { memory = DEFAULT_MEMORY, roof, tokens }: { memory?: string; roof?: string; tokens?: number } = {},
): Promise<void> {
  const available = parseMemory(memory);
  if (roof !== undefined) checkRoof(roof);
  const { rl, model } = config;
  print(JSON.stringify(config, null, 2));
  print();
  const shipped = (await files.exists(model.path)) ? null : await shippedShape(model.path);
  const shape = shipped ?? (await readModelConfig(files, await modelFolder(model.path)));
  const gpu = await adapterHere(config.device.adapter);
  if (config.device.layers) requireAll(config.device.layers, shape.numLayers);
  const planOf = (some: Config) =>
    planMemory(shape, some.model.dtype, rlOptions(some), adamwOptions(some), {
      like: gpu ?? undefined,
      ...plannedOptions(some),
    });
  const plan = await planOf(config);
  const responses = rl.num_prompts * rl.num_generations;
  print(
    `an iteration: ${rl.num_prompts} prompts x ${rl.num_generations} responses of at most ${largestStage(rl.max_completion_length)} tokens, ${rl.num_steps * rl.num_iterations} optimizer steps; ` +
      `${count(responses * plan.longestSequence)} tokens at most`,
  );
  print(
    `in all: ${rl.max_iterations} iterations, ${rl.max_iterations * rl.num_steps * rl.num_iterations} optimizer steps` +
      (rl.max_sampled_tokens === undefined
        ? ""
        : `, or until ${count(rl.max_sampled_tokens)} response tokens are sampled`),
  );
  print();
  printMemory(plan, shape, config);
  print(
    gpu
      ? `planned for this machine's ${gpu.name}, kernels of the tier ${gpu.tier}`
      : "planned for the baseline's kernels and buffers of any size: this machine has no adapter",
  );
  print(
    plan.total <= available
      ? `fits: ${bytes(plan.total)} at most, within ${memory} (--memory says what the adapter has)`
      : `does not fit: needs an adapter with ${bytes(plan.total)}, got ${memory} (--memory says what the adapter has)`,
  );
  if (plan.total > available) {
    const proposal = await proposeSettings(config, available, async (some) => (await planOf(some)).total);
    print(proposal ? proposalLine(proposal) : `no options that are known here fit ${memory}: a smaller model does`);
  }
  const needs = (what: string, size: number, limit = Infinity) => {
    if (size > limit) print(`does not fit this adapter: needs ${what} of ${bytes(size)}, got ${bytes(limit)} at most`);
  };
  needs("a buffer", plan.largestBuffer, gpu?.limits.maxBufferSize);
  needs("a binding", plan.largestBinding, gpu?.maxBindingSize);
  print();
  if (roof !== undefined) {
    const adapterRoof = await openRoof(roof, gpu, shape, model.dtype);
    const mean = tokens ?? Math.round(largestStage(rl.max_completion_length) / 4);
    const options = rlOptions(config);
    printTime(
      await planTime(shape, model.dtype, options, adamwOptions(config), adapterRoof, {
        mean,
        ...plannedOptions(config),
      }),
      {
        roof: adapterRoof,
        mean,
        iterations: rl.max_iterations,
      },
    );
    print();
  }

  if (shipped) {
    print(`${model.path} is not here: the prompts that it will see are not shown`);
    if (config.task.path && !(await files.exists(config.task.path)))
      return print(`${config.task.path} is not here: make it with pith data prepare`);
    try {
      printTask(await openTask(config));
    } catch (error) {
      if (!(error instanceof PithError)) throw error;
      print(`task ${config.task.name}: ${error.message}`);
    }
    return;
  }
  const { task, tokenizer, stopTokenIds, overlong } = await openSources(config);
  printTask(task);
  const first = task.train[0] ?? task.test[0];
  if (!first) return;
  const { prompt, promptTokenIds } = renderPrompt(task, first, tokenizer);
  if (overlong.length > 0) print(`prompts that fill the context, left out: ${overlong.length}`);
  print(`stop tokens: ${stopTokenIds.join(", ") || "none: nothing ends a response before its limit"}`);
  print(`first prompt (${promptTokenIds.length} tokens): ${prompt}`);
  print(`gold answer: ${first.answer}`);
}

function proposalLine({ settings, total }: { settings: Settings; total: number }): string {
  const flags = Object.entries(settings).map(([key, value]) => `--${key}=${JSON.stringify(value)}`);
  const hint = "lora.r" in settings ? " (adapters learn at about ten times the rate: docs/memory.md)" : "";
  return `fits with ${bytes(total)} by ${flags.join(" ")}${hint}`;
}

/** The adapter that training would use; null where there is none and none was named. */
async function adapterHere(name: string | undefined): Promise<DeviceGpu | null> {
  try {
    return await openGpu(name);
  } catch (error) {
    const isNamed = (name ?? process.env["PITH_ADAPTER"]) !== undefined;
    if (!isNamed && error instanceof GpuUnavailableError) return null;
    throw error;
  }
}

/** The sizes of a model that a preset names, for who does not have it yet: of its config.json what shapes depend on. */
async function shippedShape(id: string): Promise<ModelConfig | null> {
  const path = shipped(`configs/shapes/${id}.json`);
  return (await files.exists(path)) ? parseModelConfig(JSON.parse(await files.readText(path)), path) : null;
}

function printTask(task: Task): void {
  print(`task ${task.name}: ${task.train.length} training problems, ${task.test.length} held out`);
  const dropped = Object.entries(task.dropped ?? {});
  print(
    `rows left out: ${dropped.length === 0 ? "none" : dropped.map(([reason, rows]) => `${rows} (${reason})`).join(", ")}`,
  );
}

function printMemory(plan: MemoryPlan, shape: ModelConfig, { model, lora, rl, optim }: Config): void {
  const { held, phases } = plan;
  const parameters = Array.from(parameterShapes(shape).values(), (dims) => dims.reduce((a, b) => a * b, 1));
  const total = parameters.reduce((a, b) => a + b, 0);
  print(
    `memory for ${count(total)} parameters, ${model.dtype}, micro-batches of ${count(plan.microBatchTokens)} tokens`,
  );
  const [updates, others] = model.recompute
    ? ([phases.updateRecomputed, `each layer run again; kept they would take ${bytes(phases.updateKept)}`] as const)
    : ([phases.updateKept, `kept; each layer run again, ${bytes(phases.updateRecomputed)}`] as const);
  const row = (label: string, size: number, remark = "") =>
    print(`  ${label.padEnd(30)} ${bytes(size).padStart(10)}  ${remark}`.trimEnd());
  row("weights", held.weights, held.adapters > 0 ? "frozen" : "");
  if (held.adapters > 0) row("adapters", held.adapters, `rank ${lora.r}`);
  const noMasters = plan.host > 0 ? "in host memory" : "what is trained is stepped itself";
  row("f32 masters", held.masters, held.masters === 0 ? noMasters : "");
  row("Adam moments", held.moments, optim.state_dtype);
  const without =
    rl.beta === 0
      ? "beta is 0"
      : held.adapters > 0
        ? "the frozen weights are the reference"
        : "read from its files for each pass";
  row("reference weights", held.reference, held.reference === 0 ? without : "");
  row("rope tables", held.ropeTables);
  print("one of these at a time:");
  row("an update", updates, `with gradients of ${bytes(plan.gradients)}; ${others}`);
  row("reference log-probabilities", phases.reference);
  row("rollouts", phases.rollouts, `with a KV cache of ${bytes(plan.kvCache)}, ${count(plan.kvPositions)} positions`);
  row("an optimizer step", phases.optimizer, plan.host > 0 ? "with masters and moments of one parameter" : "");
  row("logits in them", plan.logitsChunk, "a chunk of the vocabulary, contained in the above");
  print("and");
  row("idle buffers, at most", plan.idle, "kept for micro-batches of other lengths");
  row("total", plan.total, `largest buffer ${bytes(plan.largestBuffer)}`);
  if (plan.totals.length > 1) {
    print(`that is the fullest of ${plan.totals.length} devices: they take ${plan.totals.map(bytes).join(", ")}`);
  }
  if (plan.host > 0) print(`and ${bytes(plan.host)} of host memory for masters and moments`);
}

const count = (n: number): string => n.toLocaleString("en-US");
