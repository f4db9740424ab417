import { FormatError } from "../errors.ts";
import type { Files } from "../runtime/types.ts";
import { brief, readJsonObject } from "./json.ts";

/** A low-rank adapter, y = W x + s B A x (Hu et al. 2021), as PEFT describes it in adapter_config.json. */
export interface LoraConfig {
  /** Rows of A and columns of B. Even: the kernels take numbers in pairs. */
  r: number;
  /** s is alpha / r, or with rsLoRA alpha / sqrt(r) (Kalajdzievski 2023). */
  alpha: number;
  useRslora: boolean;
  /** Names of linear layers, or ends of their names: q_proj. All of the decoder's where it says so. */
  targetModules: "all-linear" | readonly string[];
  /** The model that is adapted: a hub id, a path, or one relative to the adapter's folder. Null where it is not said. */
  baseModel: string | null;
}

export const ADAPTER_CONFIG = "adapter_config.json";
export const ADAPTER_WEIGHTS = "adapter_model.safetensors";

/** What a linear layer's two tensors are called in the file. */
export const adapterTensors = (module: string): { a: string; b: string } => ({
  a: `base_model.model.${module}.lora_A.weight`,
  b: `base_model.model.${module}.lora_B.weight`,
});

/** The factor of the adapter's product. */
export const loraScale = ({ r, alpha, useRslora }: LoraConfig): number => alpha / (useRslora ? Math.sqrt(r) : r);

/** Whether the adapter is beside this linear layer, by its full name. */
export const isTarget = ({ targetModules }: LoraConfig, module: string): boolean =>
  targetModules === "all-linear" || targetModules.some((target) => module === target || module.endsWith(`.${target}`));

/** Keys that change nothing in what is computed. */
const WITHOUT_EFFECT: ReadonlySet<string> = new Set([
  "auto_mapping",
  "inference_mode",
  "megatron_core",
  "peft_version",
  "qalora_group_size",
  "revision",
]);

/** Where other values would be another method, those that are this one, and what to do about others. */
const REQUIRED: Readonly<Record<string, { values: readonly unknown[]; advice: string }>> = {
  peft_type: { values: ["LORA"], advice: "other kinds of adapters are not supported" },
  task_type: { values: ["CAUSAL_LM", null], advice: "only adapters of causal language models are" },
  bias: { values: ["none"], advice: "trained biases are not supported" },
  use_dora: { values: [false, null], advice: "DoRA is not supported; merge it with PEFT" },
  lora_dropout: {
    values: [0, null],
    advice: "there is no dropout here; it acts in training alone: to use the trained adapter, set it to 0",
  },
  modules_to_save: { values: [null], advice: "fully trained modules are not supported; merge it with PEFT" },
  // The others subtract something from the base's weights, which the adapter then belongs to.
  init_lora_weights: {
    values: [true, false, "gaussian", "orthogonal", "eva"],
    advice: "an adapter whose initialisation changes the base is not supported; convert it with PEFT",
  },
};

const READ: ReadonlySet<string> = new Set([
  "r",
  "lora_alpha",
  "use_rslora",
  "target_modules",
  "base_model_name_or_path",
]);

/** As null, false, or nothing in it, a key that is not known here asks for nothing. */
const asksForNothing = (value: unknown): boolean =>
  value === null || value === false || (typeof value === "object" && Object.keys(value).length === 0);

/** @throws FormatError that names the key of anything that would be another method than LoRA on linear layers */
export function parseAdapterConfig(json: Record<string, unknown>, source: string): LoraConfig {
  const fail = (key: string, expected: string, advice: string): never => {
    throw new FormatError(`${source}: expected ${key} to be ${expected}, got ${brief(json[key])}; ${advice}`);
  };
  for (const [key, { values, advice }] of Object.entries(REQUIRED)) {
    const isGiven = key === "peft_type" || Object.hasOwn(json, key);
    if (isGiven && !values.includes(json[key])) fail(key, brief(values[0]), advice);
  }
  for (const [key, value] of Object.entries(json)) {
    if (READ.has(key) || WITHOUT_EFFECT.has(key) || Object.hasOwn(REQUIRED, key) || asksForNothing(value)) continue;
    throw new FormatError(`${source}: ${key} ${brief(value)} is not supported; merge the adapter with PEFT`);
  }
  const { r, lora_alpha: alpha, target_modules: targets, base_model_name_or_path: baseModel } = json;
  if (!Number.isInteger(r) || (r as number) < 2 || (r as number) % 2 !== 0)
    return fail("r", "an even number from 2 on", "the kernels take numbers in pairs");
  if (typeof alpha !== "number" || !(alpha > 0))
    return fail("lora_alpha", "a positive number", "it is the product's weight");
  const isList = Array.isArray(targets) && targets.length > 0 && targets.every((name) => typeof name === "string");
  if (targets !== "all-linear" && !isList)
    return fail("target_modules", "a list of names", "write the names of the linear layers: q_proj, v_proj");
  return {
    r: r as number,
    alpha,
    useRslora: json["use_rslora"] === true,
    targetModules: targets as LoraConfig["targetModules"],
    baseModel: typeof baseModel === "string" && baseModel !== "" ? baseModel : null,
  };
}

export async function readAdapterConfig(files: Files, dir: string): Promise<LoraConfig> {
  const path = `${dir}/${ADAPTER_CONFIG}`;
  return parseAdapterConfig(await readJsonObject(files, path), path);
}

/** The file's text, as PEFT reads it. */
export function adapterConfigText({ r, alpha, useRslora, targetModules, baseModel }: LoraConfig): string {
  const json = {
    peft_type: "LORA",
    task_type: "CAUSAL_LM",
    base_model_name_or_path: baseModel,
    r,
    lora_alpha: alpha,
    lora_dropout: 0,
    bias: "none",
    target_modules: targetModules,
    use_rslora: useRslora,
    use_dora: false,
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    modules_to_save: null,
    layers_to_transform: null,
    layers_pattern: null,
    rank_pattern: {},
    alpha_pattern: {},
  };
  return `${JSON.stringify(json, null, 2)}\n`;
}
