import { describe, expect, test } from "vitest";
import { LLM } from "../../src/engine/llm.ts";
import { FormatError } from "../../src/errors.ts";
import { parseAdapterConfig, readAdapterConfig, type LoraConfig } from "../../src/hf/peft.ts";
import { openSafetensors } from "../../src/hf/safetensors.ts";
import { packSequences } from "../../src/model/batch.ts";
import { adapterShapes, LoraModel } from "../../src/model/lora.ts";
import { Model } from "../../src/model/model.ts";
import { tokenLogprobs } from "../../src/train/policy.ts";
import { randn, testGpu } from "../helpers/gpu.ts";
import { files, temporaryFolder } from "../helpers/host.ts";
import { tinyConfig } from "../helpers/models.ts";

const folder = temporaryFolder();
// The folder as a whole: a bundler takes a URL with a name put into it for a file to be found now.
const adapters = new URL("../fixtures/lora", import.meta.url).pathname;
const fixture = (name: string) => `${adapters}/${name}/adapter`;
const LORA: LoraConfig = { r: 4, alpha: 8, useRslora: false, targetModules: "all-linear", baseModel: "some/base" };
const batch = packSequences([[3, 1, 4, 1, 5, 9, 2, 6, 5], Array.from({ length: 40 }, (_, t) => (7 * t) % 37)]);

async function tiny(dtype: Model["dtype"]): Promise<Model> {
  return Model.random(await testGpu(), tinyConfig(), { dtype, seed: 3 });
}

/** An adapter that is not what it was at its beginning. */
async function trained(base: Model, seed: number, lora = LORA): Promise<LoraModel> {
  const model = await LoraModel.create(base, lora, { seed });
  for (const [name, tensor] of model.trainable)
    if (name.endsWith("lora_B.weight")) base.gpu.write(tensor, randn(seed++, tensor.size, 0.3));
  return model;
}

const logprobs = async (model: Model) => (await tokenLogprobs(model, batch, { temperature: 1 })).logprobs;

test.each(["float32", "bfloat16"] as const)("a new adapter changes no bit, in %s", async (dtype) => {
  const base = await tiny(dtype);
  const model = await LoraModel.create(base, LORA, { seed: 1 });
  expect(await logprobs(model)).toEqual(await logprobs(base));
  const a = await base.gpu.readF32(model.trainable.values().next().value!);
  expect(Math.max(...a.map(Math.abs))).toBeLessThanOrEqual(1 / Math.sqrt(32));
  expect(new Set(a).size).toBeGreaterThan(a.length / 2);
});

test("adapters over one base sample side by side what each samples alone, and leave the base as it is", async () => {
  const base = await tiny("bfloat16");
  const models = [base, await trained(base, 1), await trained(base, 2, { ...LORA, r: 2, targetModules: ["q_proj"] })];
  const requests = [{ promptId: 0, promptTokenIds: [3, 1, 4, 1, 5] }];
  const params = { n: 6, temperature: 1, topK: 0, topP: 1, maxTokens: 20, seed: 5, stopTokenIds: [0] };
  const sample = async (model: Model) => {
    const llm = new LLM(model, { maxNumSeqs: 8, maxModelLen: 64 });
    const outputs = await llm.generate(requests, params);
    llm.dispose();
    return outputs;
  };
  const alone = [];
  for (const model of models) alone.push(await sample(model));
  expect(await Promise.all(models.map(sample))).toEqual(alone);
  expect(new Set(alone.map((outputs) => JSON.stringify(outputs))).size).toBe(3);
});

describe("PEFT's format", () => {
  test.each(["float32", "bfloat16"] as const)("what is saved is loaded with the same bits, in %s", async (dtype) => {
    const base = await tiny(dtype);
    const saved = await trained(base, 7, { ...LORA, useRslora: true });
    await saved.save(files, `${folder}/${dtype}`);
    const loaded = await LoraModel.loadAdapter(base, files, `${folder}/${dtype}`);
    expect([...loaded.trainable.keys()]).toEqual([...saved.trainable.keys()]);
    for (const [name, tensor] of saved.trainable)
      expect(await base.gpu.readBytes(loaded.trainable.get(name)!)).toEqual(await base.gpu.readBytes(tensor));
    expect(await logprobs(loaded)).toEqual(await logprobs(saved));
    const { tensors, metadata } = await openSafetensors(files, `${folder}/${dtype}/adapter_model.safetensors`);
    expect(metadata).toEqual({ format: "pt" });
    expect([...tensors.values()][0]!.dtype).toBe(dtype === "float32" ? "F32" : "BF16");
    expect(await readAdapterConfig(files, `${folder}/${dtype}`)).toEqual({
      ...LORA,
      useRslora: true,
      targetModules: ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    });
  });

  test.each(["lora-qwen2", "lora-qwen3-tied"])("%s saved anew is field by field what it was", async (name) => {
    const gpu = await testGpu();
    const base = await Model.load(gpu, files, fixture(name).replace(/\/adapter$/, ""), { dtype: "float32" });
    const model = await LoraModel.loadAdapter(base, files, fixture(name));
    await model.save(files, `${folder}/${name}`);
    const read = async (dir: string) => {
      const file = await openSafetensors(files, `${dir}/adapter_model.safetensors`);
      const entries = Array.from(file.tensors, async ([tensor, { dtype, shape }]) => {
        return [tensor, dtype, shape, await file.readBytes(tensor)] as const;
      });
      const config = JSON.parse(await files.readText(`${dir}/adapter_config.json`)) as Record<string, unknown>;
      return { config, tensors: (await Promise.all(entries)).sort(([a], [b]) => (a < b ? -1 : 1)) };
    };
    const [got, want] = [await read(`${folder}/${name}`), await read(fixture(name))];
    expect(got.tensors).toEqual(want.tensors);
    expect(got.config).toMatchObject(want.config);
  });

  const json = { peft_type: "LORA", r: 8, lora_alpha: 16, target_modules: ["q_proj"], base_model_name_or_path: "x" };

  test("what asks for nothing more is read, whatever its name", () => {
    const more = {
      lora_dropout: 0,
      bias: "none",
      rank_pattern: {},
      future_option: null,
      megatron_core: "megatron.core",
    };
    const config = parseAdapterConfig({ ...json, ...more, use_rslora: true }, "here");
    expect(config).toEqual({ r: 8, alpha: 16, useRslora: true, targetModules: ["q_proj"], baseModel: "x" });
  });

  test.each([
    [{ use_dora: true }, "use_dora"],
    [{ lora_dropout: 0.05 }, "lora_dropout"],
    [{ modules_to_save: ["lm_head"] }, "modules_to_save"],
    [{ bias: "all" }, "bias"],
    [{ init_lora_weights: "pissa" }, "init_lora_weights"],
    [{ rank_pattern: { q_proj: 4 } }, "rank_pattern"],
    [{ fan_in_fan_out: true }, "fan_in_fan_out"],
    [{ future_option: 3 }, "future_option"],
    [{ peft_type: "IA3" }, "peft_type"],
    [{ peft_type: undefined }, "peft_type"],
    [{ r: 7 }, "r to be an even number"],
    [{ lora_alpha: 0 }, "lora_alpha"],
    [{ target_modules: ".*q_proj" }, "target_modules"],
    [{ target_modules: [] }, "target_modules"],
  ])("%j is refused by name", (change, name) => {
    const parse = () => parseAdapterConfig({ ...json, ...change }, "here");
    expect(parse).toThrow(FormatError);
    expect(parse).toThrow(`here: `);
    expect(parse).toThrow(name);
  });

  test("layers that are not there, and tensors that are not the adapter's, are refused", async () => {
    const base = await tiny("float32");
    expect(() => adapterShapes(base.config, { ...LORA, targetModules: ["q_proj", "lm_head"] })).toThrow(
      /linear layers of the model's decoder \(q_proj.*down_proj\), got lm_head/,
    );
    const dir = `${folder}/other`;
    await (await trained(base, 1)).save(files, dir);
    const wide = Model.random(base.gpu, tinyConfig({ intermediate_size: 64 }), { dtype: "float32", seed: 1 });
    await expect(LoraModel.loadAdapter(wide, files, dir)).rejects.toThrow(/mlp\.\S+ of shape \[\S+\] .* got \[/);
    const config = JSON.parse(await files.readText(`${dir}/adapter_config.json`)) as object;
    await files.write(`${dir}/adapter_config.json`, JSON.stringify({ ...config, target_modules: ["q_proj"] }));
    await expect(LoraModel.loadAdapter(base, files, dir)).rejects.toThrow(/LoRA on linear layers alone, got \S+k_proj/);
  });
});
