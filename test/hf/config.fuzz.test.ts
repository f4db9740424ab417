import { readFileSync } from "node:fs";
import { stringify } from "smol-toml";
import { parseJson } from "../../src/hf/json.ts";
import { parameterShapes, parseModelConfig } from "../../src/model/config.ts";
import { loadConfig } from "../../src/run/config.ts";
import { fuzz, memoryFiles } from "../helpers/fuzz.ts";

const at = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
const models = [
  "models/reasoner",
  ...["llama3-rope", "qwen2-tied", "qwen3"].map((name) => `test/fixtures/transformers/${name}`),
].map((dir): unknown => JSON.parse(at(`${dir}/config.json`)));
const settings = {
  model: { path: "m" },
  task: { name: "arithmetic", options: { steps: [2, 8] } },
  rl: {
    alpha: 0.1,
    num_prompts: 8,
    max_completion_length: [
      [0, 256],
      [10, 128],
    ],
  },
  optim: { learning_rate: 1e-4 },
  train: { seed: 1, output_dir: "runs/x" },
};

fuzz("config", async (random) => {
  if (random.below(2) === 0) {
    const json = JSON.stringify(random.mutateJson(random.pick(models)));
    parameterShapes(
      parseModelConfig(parseJson(random.below(4) === 0 ? random.mutateText(json) : json, "config.json"), "config.json"),
    );
    return;
  }
  const toml = random.below(2) === 0 ? stringify(settings) : at("configs/start.toml");
  const overrides = random.mutateJson(settings) as Record<string, unknown>;
  const mutated = random.below(2) === 0 ? random.mutateText(toml) : toml;
  await loadConfig(
    memoryFiles({ "run.toml": mutated }),
    ["run.toml"],
    typeof overrides === "object" && overrides !== null ? overrides : {},
  );
});
