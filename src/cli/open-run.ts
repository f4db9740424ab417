import type { Model } from "../model/model.ts";
import type { Config } from "../run/config.ts";
import { RunFolder, type RunKind } from "../run/run-folder.ts";
import { lockFolder } from "../runtime/lock.ts";
import { ConfigError } from "../errors.ts";
import type { Sources } from "../train/sources.ts";
import { files } from "./host.ts";
import { note } from "./output.ts";

/** @throws ConfigError where nothing ends a response: all of them would be cut off, and count as wrong */
export function requireStopTokens({ modelDir, stopTokenIds }: Sources): void {
  if (stopTokenIds.length > 0) return;
  throw new ConfigError(
    `${modelDir}: expected a token that ends a response, got no eos_token_id in generation_config.json or config.json and no eos_token in tokenizer_config.json`,
  );
}

/** @throws ConfigError where the model is an adapter: what is trained is a whole model, or a new adapter over one */
export function requireTrainable(sources: Sources): void {
  requireStopTokens(sources);
  if (sources.adapterDir === null) return;
  throw new ConfigError(
    `model.path: expected a whole model to train, got the adapter ${sources.adapterDir}; merge the two with pith merge, and train that`,
  );
}

/** How many parameters are trained, of how many. */
export function parametersOf(model: Model): string {
  if (!model.base) return `${model.numParameters} parameters`;
  const trained = Array.from(model.trainable.values()).reduce((sum, { size }) => sum + size, 0);
  return `adapters of ${trained} parameters over ${model.numParameters}`;
}

/** Above this AdamW only destroys: it moves every weight by about the learning rate at each step. */
const HIGH_LEARNING_RATE = 0.05;

/** The run's folder, this process's alone, and a word on settings that are likely mistakes. */
export async function openRun(config: Config, kind: RunKind): Promise<RunFolder> {
  const { learning_rate: rate } = config.optim;
  if (rate > HIGH_LEARNING_RATE)
    note(`optim.learning_rate ${rate} moves every weight by that much a step: expected at most about 1e-3`);
  await files.mkdir(config.train.output_dir);
  lockFolder(config.train.output_dir);
  return RunFolder.open(files, config, kind, note);
}
