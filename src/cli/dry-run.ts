import type { Config } from "../run/config.ts";
import { openSources, print } from "./host.ts";

/** `pith train --dry-run`: the resolved plan, the first prompt as the model will see it, and which rows were left out. */
export async function dryRunCommand(config: Config): Promise<void> {
  const { task, tokenizer, stopTokenIds } = await openSources(config);
  const { rl } = config;
  print(JSON.stringify(config, null, 2));
  print();
  print(`task ${task.name}: ${task.train.length} training problems, ${task.test.length} held out`);
  const dropped = Object.entries(task.dropped ?? {});
  print(
    `rows left out: ${dropped.length === 0 ? "none" : dropped.map(([reason, count]) => `${count} (${reason})`).join(", ")}`,
  );
  print(
    `an iteration: ${rl.num_prompts} prompts x ${rl.num_generations} responses of at most ${rl.max_completion_length} tokens, ${rl.num_steps} optimizer steps`,
  );
  print(`in all: ${rl.max_iterations} iterations, ${rl.max_iterations * rl.num_steps} optimizer steps`);
  const first = task.train[0] ?? task.test[0];
  if (!first) return;
  const prompt = task.render(first, tokenizer);
  print(`stop tokens: ${stopTokenIds.join(", ")}`);
  print(`first prompt (${tokenizer.encode(prompt, { addSpecialTokens: false }).length} tokens): ${prompt}`);
  print(`gold answer: ${first.answer}`);
}
