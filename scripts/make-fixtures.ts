/**
 * Selects test/fixtures/transformers from a larger set in the same format (a folder for each model case, adamw.safetensors
 * and attention.safetensors beside them): `node scripts/make-fixtures.ts FOLDER`. The numbers are PyTorch's, untouched.
 */
import { copyFileSync, mkdirSync } from "node:fs";
import { openSafetensors, writeSafetensors } from "../src/hf/safetensors.ts";
import { nodeFiles } from "../src/runtime/files-node.ts";

const [source] = process.argv.slice(2);
if (!source) throw new Error("expected the folder to select from");
const target = new URL("../test/fixtures/transformers", import.meta.url).pathname;

const BASE = ["config.json", "generation_config.json", "model.safetensors", "case.safetensors"];
const CASES: Record<string, string[]> = {
  qwen3: [...BASE, "ppo_token.safetensors"],
  "llama3-rope": [...BASE, "ppo_token.safetensors"],
  "qwen2-tied": BASE,
};
for (const [name, files] of Object.entries(CASES)) {
  mkdirSync(`${target}/${name}`, { recursive: true });
  for (const file of files) copyFileSync(`${source}/${name}/${file}`, `${target}/${name}/${file}`);
}
copyFileSync(`${source}/adamw.safetensors`, `${target}/adamw.safetensors`);

const attention = await openSafetensors(nodeFiles, `${source}/attention.safetensors`);
const first = Array.from(attention.tensors, ([name, { dtype, shape }]) => ({
  name,
  dtype,
  shape,
  data: () => attention.readBytes(name),
})).filter(({ name }) => name.startsWith("0."));
await writeSafetensors(nodeFiles, `${target}/attention.safetensors`, first, attention.metadata);
