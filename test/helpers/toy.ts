import { Tokenizer as HfTokenizer } from "@huggingface/tokenizers";
import type { Gpu } from "../../src/gpu/gpu.ts";
import { Tokenizer } from "../../src/hf/tokenizer.ts";
import { Model, type ModelDType } from "../../src/model/model.ts";
import type { Problem, Task } from "../../src/tasks/task.ts";
import { AdamW, type AdamWOptions } from "../../src/train/optimizer.ts";
import type { RlSetup } from "../../src/train/rl.ts";
import { PAPER, type RlOptions } from "../../src/train/rl-options.ts";
import { testGpu } from "./gpu.ts";
import { tinyConfig } from "./models.ts";

/** Token 0 ends a response. */
const WORDS = ["<end>", "<unk>", "red", "green", "blue", "one", "two", "three", "four", "say", "now", "a", "b", "c"];

export function toyTokenizer(): Tokenizer {
  const json = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [
      { id: 0, content: "<end>", special: true, single_word: false, lstrip: false, rstrip: false, normalized: false },
    ],
    normalizer: null,
    pre_tokenizer: { type: "WhitespaceSplit" },
    post_processor: null,
    decoder: null,
    model: { type: "WordLevel", vocab: Object.fromEntries(WORDS.map((word, id) => [word, id])), unk_token: "<unk>" },
  };
  return new Tokenizer(new HfTokenizer(json, {}), {}, null);
}

/** "say red now" wants an answer that says red and ends by itself. */
export function toyTask(): Task {
  const problem = (color: string, i: number): Problem => ({
    id: `${color}${i}`,
    prompt: `say ${color} now`,
    answer: color,
    difficulty: i % 3,
  });
  const problems = ["red", "green", "blue", "one", "two"].map(problem);
  return {
    name: "toy",
    train: problems,
    test: problems,
    render: ({ prompt }) => prompt,
    judge: ({ answer }, response) => {
      const correct = response.split(" ").includes(answer);
      return {
        correct,
        extracted: correct ? answer : "",
        gold: answer,
        reason: correct ? "says it" : "does not say it",
      };
    },
    demonstration: ({ answer }, seed) => `${["a", "b", "c"][seed % 3]} ${answer}`,
  };
}

export const ADAMW: AdamWOptions = { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0, maxGradNorm: 1 };
/** The same with its state in bf16. */
export const ADAMW_BF16: AdamWOptions = { ...ADAMW, stochasticRounding: { seed: 11 } };

export async function toyModel(dtype: ModelDType, gpu?: Gpu, numLayers = 2): Promise<Model> {
  const config = tinyConfig({ vocab_size: WORDS.length, num_hidden_layers: numLayers, max_position_embeddings: 32 });
  return Model.random(gpu ?? (await testGpu()), config, { dtype, seed: 5 });
}

/** A fresh model that is to learn the toy task; on this file's device if not on another. */
export async function toySetup(dtype: ModelDType, gpu?: Gpu, adamw = ADAMW): Promise<RlSetup> {
  const model = await toyModel(dtype, gpu);
  const optimizer = await AdamW.create(model, adamw);
  return {
    model,
    reference: await model.clone(),
    optimizer,
    tokenizer: toyTokenizer(),
    task: toyTask(),
    stopTokenIds: [0],
  };
}

export const TOY_RL: RlOptions = {
  alpha: { alpha: 0.2 },
  numPrompts: 4,
  numGenerations: 6,
  numSteps: 2,
  maxIterations: 4,
  maxCompletionLength: 10,
  temperature: 1,
  topK: 0,
  topP: 1,
  beta: 1e-3,
  klEstimator: "none",
  epsilon: 0.2,
  ...PAPER,
  learningRate: 5e-3,
  scheduler: "constant_with_warmup",
  warmupSteps: 0,
  tokensPerMicroBatch: 128,
  recompute: false,
  seed: 1,
  engine: {},
};

/** A model's weights as they lie on the device, and those of adapters beside them, by name. */
export async function weightBytes(model: Model): Promise<Record<string, Uint8Array>> {
  const bytes: Record<string, Uint8Array> = {};
  for (const [name, tensor] of [...model.parameters, ...model.trainable])
    bytes[name] = await model.gpu.readBytes(tensor);
  return bytes;
}

/** The weights' SHA-256, for comparisons of many. */
export async function weightDigest(model: Model): Promise<Uint8Array> {
  const bytes = new Blob(Object.values(await weightBytes(model)) as Uint8Array<ArrayBuffer>[]);
  return new Uint8Array(await crypto.subtle.digest("SHA-256", await bytes.arrayBuffer()));
}
