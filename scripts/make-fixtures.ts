/**
 * Selects test/fixtures/transformers and test/fixtures/lora from a larger set in the same format (in transformers a folder for each
 * model case, adamw.safetensors and attention.safetensors beside them; in lora a folder for each adapter's):
 * `node scripts/make-fixtures.ts FOLDER`. The numbers are PyTorch's, untouched.
 */
import { copyFileSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { openSafetensors, writeSafetensors } from "../src/hf/safetensors.ts";
import { nodeFiles } from "../src/runtime/files-node.ts";

const [source] = process.argv.slice(2);
if (!source) throw new Error("expected the folder to select from");
const target = new URL("../test/fixtures", import.meta.url).pathname;

const BASE = ["config.json", "generation_config.json", "model.safetensors", "case.safetensors"];
const ADAPTER = ["adapter/adapter_config.json", "adapter/adapter_model.safetensors", "merged.safetensors"];
const CASES: Record<string, string[]> = {
  "transformers/qwen3": [...BASE, "ppo_token.safetensors"],
  "transformers/llama3-rope": [...BASE, "ppo_token.safetensors"],
  "transformers/qwen2-tied": BASE,
  "lora/lora-qwen2": [...BASE, ...ADAPTER, "ppo_sequence.safetensors"],
  "lora/lora-qwen3-tied": [...BASE, ...ADAPTER, "ppo_kl_k3.safetensors"],
  transformers: ["adamw.safetensors"],
};
for (const [name, files] of Object.entries(CASES)) {
  for (const file of files) {
    mkdirSync(dirname(`${target}/${name}/${file}`), { recursive: true });
    copyFileSync(`${source}/${name}/${file}`, `${target}/${name}/${file}`);
  }
}

const attention = await openSafetensors(nodeFiles, `${source}/transformers/attention.safetensors`);
const first = Array.from(attention.tensors, ([name, { dtype, shape }]) => ({
  name,
  dtype,
  shape,
  data: () => attention.readBytes(name),
})).filter(({ name }) => name.startsWith("0."));
await writeSafetensors(nodeFiles, `${target}/transformers/attention.safetensors`, first, attention.metadata);
