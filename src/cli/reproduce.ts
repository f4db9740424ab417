import { claims } from "../reproduce/claims.ts";
import { CUTOFFS, experiments } from "../reproduce/plan.ts";
import { accuracyText, baseRows, resultRows, tokensText } from "../reproduce/results.ts";
import { evaluateBase, experimentConfig, openHost, runExperiments, type ReproduceOptions } from "./experiments.ts";
import { duration, files, INTERRUPTED, note, print } from "./host.ts";

/** What every model is scored on: enough that intervals are the seeds' more than the scoring's. */
const SCORING = { eval: { num_problems: 1_000, num_samples: 4 } };

/**
 * `pith reproduce`: the paper's methods on the bundled reasoner, seed by seed. Every run keeps its own folder and what is
 * finished is not done again, so the command goes on where it was interrupted, and seeds can be done by several processes.
 */
export async function reproduceCommand(options: ReproduceOptions): Promise<number> {
  const start = performance.now();
  const { quick, seeds, dir } = options;
  const host = { ...(await openHost(options)), common: SCORING };
  const base = await evaluateBase(host);
  const outcomes = await runExperiments(host, experiments({ quick }), seeds);
  if (!outcomes) return INTERRUPTED;

  const config = await experimentConfig(host);
  const context = config.eval.max_completion_length;
  const rows = [...baseRows(base, CUTOFFS, context), ...resultRows(outcomes, context)];
  const verdicts = claims(base, rows, outcomes);
  const facts = {
    adapter: host.gpu.name,
    seeds: seeds.join(", "),
    iterations: `${config.rl.max_iterations} of ${config.rl.num_prompts} x ${config.rl.num_generations} responses`,
    evaluation: `${config.eval.num_samples} responses to each of ${config.eval.num_problems} held-out problems, temperature ${config.eval.temperature}`,
  };
  const { renderReproduction } = await import("../reproduce/page.ts");
  await files.write(`${dir}/reproduce.html`, renderReproduction({ facts, rows, outcomes, claims: verdicts }));
  await files.write(`${dir}/reproduce.json`, `${JSON.stringify({ facts, rows, claims: verdicts }, null, 1)}\n`);

  print(`${"model type".padEnd(16)} alpha     tokens      pass rate    ctx`);
  for (const row of rows) {
    print(
      `${row.method.padEnd(16)} ${String(row.strength ?? "-").padEnd(5)} ${tokensText(row).padStart(12)} ` +
        `${accuracyText(row).padStart(15)} ${String(row.context).padStart(5)}`,
    );
  }
  print();
  for (const { claim, seen, holds } of verdicts)
    print(`${holds ? "holds         " : "does not hold "} ${claim} (${seen})`);
  print();
  print(`${dir}/reproduce.html`);
  note(`${duration((performance.now() - start) / 1000)} in all`);
  return 0;
}
