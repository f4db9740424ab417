import { FormatError } from "../errors.ts";
import type { Gpu } from "../gpu/gpu.ts";
import type { Tensor } from "../gpu/tensor.ts";
import {
  ADAPTER_CONFIG,
  ADAPTER_WEIGHTS,
  adapterConfigText,
  adapterTensors,
  isTarget,
  loraScale,
  readAdapterConfig,
  type LoraConfig,
} from "../hf/peft.ts";
import { openSafetensors, writeSafetensors } from "../hf/safetensors.ts";
import type { Files } from "../runtime/types.ts";
import type { Adapter } from "./adapter.ts";
import { parameterShapes, type ModelConfig } from "./config.ts";
import { uniformAt } from "./init.ts";
import { deviceOf, Model } from "./model.ts";

/** The decoder's linear layers by their full names, and their weights' shapes; the head is not among them. */
function linearLayers(config: ModelConfig): Map<string, readonly [outputs: number, inputs: number]> {
  const layers = Array.from(parameterShapes(config)).filter(([name]) => /^model\.layers\..*_proj\.weight$/.test(name));
  return new Map(layers.map(([name, [outputs, inputs]]) => [name.replace(/\.weight$/, ""), [outputs!, inputs!]]));
}

/** The last parts of layers' names, each once. */
const shortNames = (modules: Iterable<string>): string[] => [
  ...new Set(Array.from(modules, (module) => module.split(".").at(-1)!)),
];

/** The adapted layers' names. */
export function targetModules(config: ModelConfig, lora: LoraConfig): string[] {
  const all = [...linearLayers(config).keys()];
  const unknown =
    lora.targetModules === "all-linear"
      ? undefined
      : lora.targetModules.find(
          (target) => !all.some((module) => isTarget({ ...lora, targetModules: [target] }, module)),
        );
  if (unknown !== undefined) {
    const names = shortNames(all).join(", ");
    throw new FormatError(`target_modules: expected linear layers of the model's decoder (${names}), got ${unknown}`);
  }
  return all.filter((module) => isTarget(lora, module));
}

/** Every tensor of an adapter under PEFT's name, with its shape. */
export function adapterShapes(config: ModelConfig, lora: LoraConfig): Map<string, number[]> {
  const layers = linearLayers(config);
  const shapes = new Map<string, number[]>();
  for (const module of targetModules(config, lora)) {
    const [outputs, inputs] = layers.get(module)!;
    const { a, b } = adapterTensors(module);
    shapes.set(a, [lora.r, inputs]).set(b, [outputs, lora.r]);
  }
  return shapes;
}

/** The adapter's file of a folder, checked against the base's shape. */
export async function openAdapter(files: Files, dir: string, config: ModelConfig, lora: LoraConfig) {
  const file = await openSafetensors(files, `${dir}/${ADAPTER_WEIGHTS}`);
  const shapes = adapterShapes(config, lora);
  for (const [name, shape] of shapes) {
    const found = file.tensors.get(name)?.shape;
    if (found?.join() !== shape.join())
      throw new FormatError(
        `${file.path}: expected ${name} of shape [${shape}] as ${ADAPTER_CONFIG} and the base say, got ${found ? `[${found}]` : "none of that name"}`,
      );
  }
  const foreign = [...file.tensors.keys()].find((name) => !shapes.has(name));
  if (foreign !== undefined)
    throw new FormatError(`${file.path}: expected tensors of LoRA on linear layers alone, got ${foreign}`);
  return { file, shapes };
}

/**
 * A frozen model with an adapter beside some of its linear layers. Only the adapter is trained, saved and released; several may
 * share one base, which is also their reference.
 */
export class LoraModel extends Model {
  override readonly base: Model;
  readonly lora: LoraConfig;
  readonly #tensors: ReadonlyMap<string, Tensor>;
  readonly #adapters: ReadonlyMap<string, Adapter>;

  /** `tensors`, made by `gpu`: adapterShapes', stored as the base's weights are. */
  constructor(gpu: Gpu, base: Model, lora: LoraConfig, tensors: ReadonlyMap<string, Tensor>) {
    super(gpu, base.config, base.dtype, base.parameters);
    this.base = base;
    this.lora = lora;
    this.#tensors = tensors;
    const scale = loraScale(lora);
    this.#adapters = new Map(
      targetModules(base.config, lora).map((module) => {
        const { a, b } = adapterTensors(module);
        return [module, { a: tensors.get(a)!, b: tensors.get(b)!, scale }];
      }),
    );
  }

  /** A new adapter, which changes nothing yet: A from U(-1, 1) / sqrt(K), as PEFT draws it, and B = 0. */
  static async create(base: Model, lora: LoraConfig, { seed }: { seed: number }): Promise<LoraModel> {
    let stream = 0;
    return LoraModel.#make(base, lora, async (name, [rows = 0, columns = 0]) => {
      const values = new Float32Array(rows * columns);
      if (!name.endsWith("lora_A.weight")) return values;
      stream++;
      return values.map((_, i) => uniformAt(seed, stream, i) / Math.sqrt(columns));
    });
  }

  /** The adapter of a folder in PEFT's format. */
  static async loadAdapter(base: Model, files: Files, dir: string): Promise<LoraModel> {
    const lora = await readAdapterConfig(files, dir);
    const { file } = await openAdapter(files, dir, base.config, lora);
    return LoraModel.#make(base, lora, (name) => file.readWeights(name));
  }

  static async #make(
    base: Model,
    lora: LoraConfig,
    values: (name: string, shape: readonly number[]) => Promise<Float32Array>,
  ): Promise<LoraModel> {
    const own = base.gpu.scope();
    try {
      const tensors = new Map<string, Tensor>();
      for (const [name, shape] of adapterShapes(base.config, lora))
        tensors.set(name, deviceOf(own, base.config, name).upload(await values(name, shape), shape, base.storage));
      await own.idle();
      return new LoraModel(own, base, lora, tensors);
    } catch (error) {
      own.close();
      throw error;
    }
  }

  override get trainable(): ReadonlyMap<string, Tensor> {
    return this.#tensors;
  }

  override adapterOf(module: string): Adapter | null {
    return this.#adapters.get(module) ?? null;
  }

  override reserve(positions: number): Promise<void> {
    return this.base.reserve(positions);
  }

  override rope(positions: number, layer?: number): Tensor {
    return this.base.rope(positions, layer);
  }

  /** Another adapter of the same values over the same base. */
  override async clone(): Promise<LoraModel> {
    return LoraModel.#make(this.base, this.lora, (name) => this.gpu.readF32(this.#tensors.get(name)!));
  }

  /** Writes a folder in PEFT's format: the adapter alone, its layers by name. */
  override async save(files: Files, dir: string): Promise<void> {
    const { lora } = this;
    const targets = lora.targetModules === "all-linear" ? shortNames(this.#adapters.keys()) : lora.targetModules;
    await files.mkdir(dir);
    await files.write(`${dir}/${ADAPTER_CONFIG}`, adapterConfigText({ ...lora, targetModules: targets }));
    await writeSafetensors(files, `${dir}/${ADAPTER_WEIGHTS}`, this.sources(), { format: "pt" });
  }

  override dispose(): void {
    this.gpu.release(...this.#tensors.values());
  }
}
