import { alphaOrders, summarise } from "../reproduce/arena.ts";
import { arenaPlan, BUDGET, runsOf, type ArenaPlan, type ArenaSize } from "../reproduce/arena-plan.ts";
import type { Experiment } from "../reproduce/experiment.ts";
import { accuracyText, baseRows, resultRows, tokensText, type Outcome } from "../reproduce/results.ts";
import {
  evaluateBase,
  experimentConfig,
  openHost,
  runExperiments,
  type ExperimentHost,
  type ReproduceOptions,
} from "./experiments.ts";
import { duration, files, INTERRUPTED, print } from "./host.ts";

/** `pith reproduce --arena`: every method at three strengths on one budget of sampled tokens, seed by seed; goes on as reproduce does. */
export async function arenaCommand(options: ReproduceOptions): Promise<number> {
  const { quick, seeds } = options;
  const host = await openHost(options);
  return runArena(host, seeds, BUDGET, (size) => arenaPlan({ ...size, quick }));
}

/** An arena of any size: `plan` says what is run on `budget` response tokens each. */
export async function runArena(
  host: ExperimentHost,
  seeds: readonly number[],
  budget: number,
  plan: (size: ArenaSize) => ArenaPlan,
): Promise<number> {
  const { gpu, dir } = host;
  const evaluation = await evaluateBase(host);
  const config = await experimentConfig(host);
  const { methods, scalings } = plan({ config, baseTokens: evaluation.mean_length, budget });
  const all = await runExperiments(host, runsOf({ methods, scalings }), seeds);
  if (!all) return INTERRUPTED;

  const context = config.eval.max_completion_length;
  const base = baseRows(evaluation, [], context)[0]!;
  const of = (some: readonly Experiment[]) =>
    all.filter(({ method, strength }) => some.some((one) => one.method === method && one.strength === strength));
  const outcomes = of(methods);
  const rows = resultRows(outcomes, context);
  const summaries = summarise(outcomes, rows, base.tokens);
  const orders = alphaOrders(resultRows(of(scalings), context));
  const facts = {
    adapter: gpu.name,
    seeds: seeds.join(", "),
    budget: `${budget.toLocaleString("en-US")} response tokens a run`,
    runs: `${all.length}, ${duration(secondsOf(all))} of sampling and training`,
    evaluation: `${config.eval.num_problems} held-out problems, temperature ${config.eval.temperature}`,
  };
  const { renderArena } = await import("../reproduce/arena-page.ts");
  await files.write(`${dir}/arena.html`, renderArena({ facts, base, rows, methods: summaries, orders }));
  await files.write(
    `${dir}/arena.json`,
    `${JSON.stringify({ facts, base, rows, methods: summaries, orders }, null, 1)}\n`,
  );

  print(`${"method".padEnd(16)} strength      tokens       pass rate  sampled`);
  for (const row of [base, ...rows]) {
    print(
      `${row.method.padEnd(16)} ${String(row.strength ?? "-").padEnd(8)} ${tokensText(row).padStart(12)} ` +
        `${accuracyText(row).padStart(15)} ${String(Math.round(row.sampledTokens)).padStart(8)}`,
    );
  }
  print();
  for (const { method, area, areaHalf } of summaries)
    print(`area ${area.toFixed(3)}${areaHalf > 0 ? ` ± ${areaHalf.toFixed(3)}` : ""} ${method}`);
  print();
  for (const { method, rows: own, ordered } of orders)
    print(
      `alpha ${ordered ? "orders" : "does not order"} the lengths of ${method}: ${own.map(({ strength, tokens }) => `${strength}: ${tokens.toFixed(1)}`).join(", ")}`,
    );
  print();
  print(`${dir}/arena.html`);
  return 0;
}

const secondsOf = (outcomes: readonly Outcome[]): number => outcomes.reduce((sum, { seconds }) => sum + seconds, 0);
