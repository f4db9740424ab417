/** Trains a model on sums and compares it with what it was: what every host does the same way. */
import {
  AdamW,
  adamwOptions,
  arithmeticTask,
  evaluate,
  evaluateOptions,
  LLM,
  loadTokenizer,
  Model,
  parseConfig,
  rlOptions,
  stopTokenIds,
  trainRl,
  type Files,
  type Gpu,
} from "pith";

export async function train(gpu: Gpu, files: Files, folder: string, say: (line: string) => void): Promise<void> {
  const config = parseConfig({
    rl: { alpha: 0.4, num_prompts: 4, num_generations: 4, max_iterations: 2, max_completion_length: 200 },
    optim: { learning_rate: 4e-4, warmup_steps: 0 },
    eval: { num_problems: 20, temperature: 1, max_completion_length: 200 },
  });
  const model = await Model.load(gpu, files, folder, { dtype: "bfloat16" });
  const reference = await model.clone();
  const tokenizer = await loadTokenizer(files, folder);
  const task = arithmeticTask();
  const stops = await stopTokenIds(files, folder, model.config, tokenizer);

  const optimizer = await AdamW.create(model, adamwOptions(config));
  const setup = { model, reference, optimizer, tokenizer, task, stopTokenIds: stops };
  for await (const { metrics } of trainRl(setup, rlOptions(config))) {
    say(
      `iteration ${metrics.iteration}: accuracy ${metrics.accuracy}, tokens ${metrics["completions/mean_length"]}, ` +
        `sampler - trainer ${metrics["sampling/logp_difference_max"]}`,
    );
  }

  const llm = new LLM(model);
  const problems = task.test.slice(0, config.eval.num_problems);
  const result = await evaluate(llm, tokenizer, task, problems, evaluateOptions(config), { stopTokenIds: stops });
  say(`held out: accuracy ${result.accuracy}, tokens ${result.mean_length}`);
  llm.dispose();
}
