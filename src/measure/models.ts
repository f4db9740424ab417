import small from "../../configs/shapes/Qwen/Qwen2.5-0.5B.json" with { type: "json" };
import distill from "../../configs/shapes/deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B.json" with { type: "json" };
import large from "../../configs/shapes/deepseek-ai/DeepSeek-R1-Distill-Qwen-7B.json" with { type: "json" };
import reasoner from "../../models/reasoner/config.json" with { type: "json" };
import type { Gpu } from "../gpu/gpu.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { parameterShapes, parseModelConfig, type ModelConfig } from "../model/config.ts";
import { Model, STORAGE, type ModelDType } from "../model/model.ts";
import { fillRandom } from "./tensors.ts";

/** The models whose shapes are measured; time does not depend on what the weights are. */
export const MODELS: Readonly<Record<string, ModelConfig>> = {
  reasoner: parseModelConfig(reasoner, "models/reasoner"),
  "qwen2.5-0.5b": parseModelConfig(small, "Qwen2.5-0.5B"),
  "r1-1.5b": parseModelConfig(distill, "DeepSeek-R1-Distill-Qwen-1.5B"),
  "r1-7b": parseModelConfig(large, "DeepSeek-R1-Distill-Qwen-7B"),
};

export const countParameters = (config: ModelConfig): number =>
  Array.from(parameterShapes(config).values(), (shape) => shape.reduce((a, b) => a * b, 1)).reduce((a, b) => a + b, 0);

/** Parameters that a token's pass multiplies with: all but a table of embeddings that is not the head too. */
export const multipliedParameters = (config: ModelConfig): number =>
  countParameters(config) - (config.tieWordEmbeddings ? 0 : config.vocabSize * config.hiddenSize);

/** A model with weights that mean nothing: normal of 0.02, norms 1. */
export function randomModel(gpu: Gpu, config: ModelConfig, dtype: ModelDType): Model {
  const parameters = new Map<string, Tensor>();
  for (const [name, shape] of parameterShapes(config)) {
    if (name.endsWith("norm.weight")) {
      parameters.set(name, gpu.upload(new Float32Array(shape[0]!).fill(1), shape, STORAGE[dtype]));
    } else {
      const tensor = gpu.empty(shape, STORAGE[dtype]);
      fillRandom(gpu, tensor, 0.02);
      parameters.set(name, tensor);
    }
  }
  return new Model(gpu, config, dtype, parameters);
}
