import { ConfigError } from "../../src/errors.ts";
import type { Gpu } from "../../src/gpu/gpu.ts";
import type { ModelConfig } from "../../src/model/config.ts";
import { planMemory } from "../../src/train/memory-plan.ts";
import { adamwOptions, loraConfig, rlOptions } from "../../src/train/options.ts";
import { DTYPE, type Trainee } from "./models.ts";
import type { TrainingPlan } from "./protocol.ts";
import { runConfig } from "./settings.ts";

/** Prompts an iteration that a plan is made for: what the page begins with. */
const NUM_PROMPTS = 8;
/** Rank of the adapters. */
const RANK = 16;
/**
 * WebGPU does not tell an adapter's memory: all weights are trained where that takes no more than most have to spare, adapters up to
 * what larger ones have; on a machine of `memory` bytes neither takes more than a quarter of them, or all.
 */
const mostBytes = (memory: number) => ({
  whole: Math.min(2 * 2 ** 30, memory / 4),
  adapters: Math.min(8 * 2 ** 30, memory),
});

/** How a model trains here: all its weights where it is small, adapters beside them where it is not, or not at all. */
export async function planTraining(
  gpu: Gpu,
  config: ModelConfig,
  { name, dir }: Pick<Trainee, "name" | "dir">,
  stopTokenIds: readonly number[],
  memory = memoryOf(globalThis.navigator),
): Promise<TrainingPlan> {
  if (stopTokenIds.length === 0)
    return { refusal: "expected a token that ends a response, got no eos_token_id and no eos_token" };
  const { hiddenSize: width, maxPositionEmbeddings: context } = config;
  const mostOf = mostBytes(memory);
  let least = Infinity;
  for (const [rank, most] of [
    [0, mostOf.whole],
    [RANK, mostOf.adapters],
  ] as const) {
    const run = { alpha: 0.1, maxIterations: 1, numPrompts: NUM_PROMPTS, task: "" };
    const settings = runConfig(run, { name, dir, rank, width, context }, "");
    try {
      const plan = await planMemory(config, DTYPE, rlOptions(settings), adamwOptions(settings), {
        like: gpu,
        lora: loraConfig(settings),
      });
      // Without what the pool may keep beside it, which it gives back where memory is short.
      const bytes = plan.total - plan.idle;
      const bound = plan.largestBuffer > gpu.limits.maxBufferSize || plan.largestBinding > gpu.maxBindingSize;
      if (bytes <= most && !bound) return { rank, bytes };
      least = Math.min(least, bytes);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      return { refusal: error.message }; // its keys and values are too many for the cache
    }
  }
  return {
    refusal: `expected at most ${mostOf.adapters} bytes on the GPU, got ${least}; pith train has no such limit`,
  };
}

/** Bytes of the machine's memory, which some browsers tell roughly, in GiB. */
const memoryOf = (navigator: Navigator & { deviceMemory?: number }): number =>
  (navigator.deviceMemory ?? Infinity) * 2 ** 30;
