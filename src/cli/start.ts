import { Model } from "../model/model.ts";
import type { Config } from "../run/config.ts";
import { readSaved, savedEvaluation } from "../run/saved.ts";
import { RunFolder } from "../run/run-folder.ts";
import type { Evaluation } from "../train/evaluate.ts";
import { evaluateModel } from "./eval.ts";
import { percent } from "../core/format.ts";
import { files, INTERRUPTED, note, openSources, print } from "./host.ts";
import { openDevices } from "./devices.ts";
import { openRun, requireTrainable } from "./open-run.ts";
import { runTraining } from "./train.ts";

/** `pith start`: trains the bundled reasoner, compares it with what it was on held-out problems, and writes the report. */
export async function startCommand(config: Config): Promise<number> {
  const start = performance.now();
  const sources = await openSources(config);
  requireTrainable(sources);
  const gpu = await openDevices(config, sources.modelDir);
  const folder = await openRun(config, "train");

  const base = await Model.load(gpu, files, sources.modelDir, { dtype: config.model.dtype });
  const before = await evaluateModel(base, sources, config, "before");
  base.dispose();
  const { model, finished } = await runTraining(gpu, sources, folder);
  if (!finished) return INTERRUPTED;
  const after = await evaluateModel(model, sources, config, "after");
  await folder.write("evaluation.json", `${JSON.stringify({ before, after })}\n`);
  await writeReport(folder.dir, config);

  printComparison(before, after);
  print();
  print(`report: ${folder.dir}/report.html`);
  note(`${((performance.now() - start) / 60_000).toFixed(1)} minutes in all`);
  return 0;
}

/** `pith report`: report.html from what a run's folder holds. */
export async function writeReport(dir: string, config?: Config): Promise<string> {
  const folder = config ? RunFolder.at(files, dir, config) : await RunFolder.read(files, dir);
  const resolved = folder.config;
  const path = `${dir}/evaluation.json`;
  const evaluation = (await files.exists(path)) ? await readSaved(files, path, savedEvaluation) : null;
  const { renderReport } = await import("../run/report.ts");
  const html = renderReport({
    title: `Pith: ${resolved.task.name}, alpha ${resolved.rl.alpha}`,
    facts: {
      model: resolved.model.path,
      task: resolved.task.name,
      alpha: resolved.rl.alpha,
      seed: resolved.train.seed,
      "learning rate": resolved.optim.learning_rate,
      "responses an iteration": `${resolved.rl.num_prompts} x ${resolved.rl.num_generations}`,
    },
    metrics: await folder.readMetrics(),
    samplers: await folder.readSamplers(),
    before: evaluation?.before ?? null,
    after: evaluation?.after ?? null,
  });
  await files.write(`${dir}/report.html`, html);
  return `${dir}/report.html`;
}

function printComparison(before: Evaluation, after: Evaluation): void {
  const line = (name: string, ...cells: string[]) =>
    print(`${name.padEnd(14)}${cells.map((cell) => cell.padStart(12)).join("")}`);
  print();
  line("difficulty", "problems", "accuracy", "after", "tokens", "after", "change");
  for (const [name, a] of [...Object.entries(before.by_difficulty), ["all", before] as const]) {
    const b = name === "all" ? after : after.by_difficulty[name]!;
    const change = percent(b.mean_length / a.mean_length - 1);
    line(
      name,
      String(a.num_problems),
      percent(a.accuracy),
      percent(b.accuracy),
      a.mean_length.toFixed(1),
      b.mean_length.toFixed(1),
      change,
    );
  }
}
