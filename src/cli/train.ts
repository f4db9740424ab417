import type { Gpu } from "../gpu/gpu.ts";
import { Model } from "../model/model.ts";
import type { Config } from "../run/config.ts";
import type { RunFolder } from "../run/run-folder.ts";
import { checkpointPath } from "../train/checkpoint.ts";
import { FIRST_PASS, withFirstPass } from "../train/first-pass.ts";
import { HeldOut, scoreHeldOut } from "../train/held-out.ts";
import { keepSteps } from "../train/keep.ts";
import { inertReward, loadRewards } from "../train/rewards.ts";
import { resume, type Progress } from "../train/resume.ts";
import type { FleetMetrics, FleetSource } from "../fleet/fleet-source.ts";
import { engineOf, type RolloutSource } from "../train/rollout-source.ts";
import { Sampler } from "../train/sampler.ts";
import { trainRl, type RlIteration, type RlMetrics } from "../train/rl.ts";
import type { RlOptions } from "../train/rl-options.ts";
import { rolloutRecord } from "../train/rollouts.ts";
import { hasEnded, type SamplingCost } from "../train/sampling-cost.ts";
import type { Sources } from "../train/sources.ts";
import { percent } from "../core/format.ts";
import { ConfigError } from "../errors.ts";
import { duration, files, importModule, INTERRUPTED, interruptSignal, note, openSources, print } from "./host.ts";
import { openDevices } from "./devices.ts";
import { openRun, parametersOf, requireTrainable } from "./open-run.ts";
import { engineOptions, rlOptions } from "../train/options.ts";

/** `pith train`: reinforcement learning with the length-aware reward. Goes on from the newest checkpoint of its folder. */
export async function trainCommand(config: Config, { fleet }: { fleet?: string } = {}): Promise<number> {
  const sources = await openSources(config);
  requireTrainable(sources);
  const gpu = await openDevices(config, sources.modelDir);
  const folder = await openRun(config, "train");
  const { model, finished } = await runTraining(gpu, sources, folder, fleet);
  model.dispose();
  return finished ? 0 : INTERRUPTED;
}

/** The training run itself, sampling by the fleet at the URL if there is one; leaves the trained model on the device. */
export async function runTraining(
  gpu: Gpu,
  sources: Sources,
  folder: RunFolder,
  fleet?: string,
): Promise<{ model: Model; finished: boolean }> {
  const { config } = folder;
  const { dtype } = config.model;
  const options = rlOptions(config);
  const rewards = await loadRewards(config.rl.rewards, importModule);
  const inert = inertReward(options);
  if (inert !== null) note(inert);
  const progress = await resume(gpu, files, folder, sources.modelDir, note);
  const { model, optimizer, state, resumed } = progress;
  const openReference = () => Model.load(gpu, files, sources.modelDir, { dtype });
  // A fleet's workers score what they draw: a reference of the trainer's own is rarely needed.
  const isOpened = options.beta > 0 && !model.base && (config.model.offload_reference || fleet !== undefined);
  const reference = options.beta > 0 && !isOpened ? (model.base ?? (await openReference())) : null;
  note(
    `${sources.task.name} | ${parametersOf(model)}, ${dtype}, on ${gpu.name} | ${goal(config)}, seed ${options.seed} | ` +
      (resumed ? `goes on after iteration ${state.step}` : `${folder.dir}`),
  );

  const signal = interruptSignal();
  const task = await withFirstPass(gpu, files, sources, folder, { signal, note });
  const sampled = await sampledBefore(progress, folder);
  const sampledSoFar = () => state.num_sampled_tokens ?? sampled;
  const isDone = () => hasEnded(options, state.step, sampledSoFar());
  if (state.step === 0 && isDone())
    throw new ConfigError(
      `rl.max_sampled_tokens: expected more than the ${sampled} response tokens of the first pass, got ${options.maxSampledTokens}; raise it, or give the task fewer problems`,
    );
  let source: FleetSource | null = null;
  if (fleet !== undefined) {
    const { openFleetSource } = await import("./fleet.ts"); // brings NATS's client along
    source = await openFleetSource(fleet, folder, model, isOpened ? openReference : null);
  }
  let heldOut: HeldOut | null = null;
  const firstIteration = state.step;
  const history = (await folder.readMetrics()).map((row) => ({
    meanLength: Number(row["completions/mean_length"]),
    accuracy: Number(row["accuracy"]),
  }));
  try {
    heldOut = await openHeldOut(gpu, sources, folder, progress, { source, signal });
    const start = performance.now();
    const trained = trainRl(
      { model, reference, ...(isOpened && { openReference }), optimizer, rewards, ...sources, task },
      options,
      {
        history,
        done: state.step,
        sampled,
        records: config.rl.length_reward === "hapo" ? (state.records ??= {}) : {},
        ahead: progress.ahead,
        ...(source ? { source } : {}),
        signal,
        onWarning: note,
        budgets: progress.budgets,
      },
    );
    const iterations = source ? withFleetMetrics(trained, source) : trained;
    const record = ({ metrics: { iteration, ...metrics }, rollouts, ahead, isLast }: RlIteration) => ({
      step: iteration,
      isLast,
      metrics,
      completions: rollouts.map(rolloutRecord),
      ...(source && { samplers: source.takeShares() }),
      ahead,
    });
    for await (const { metrics } of keepSteps(iterations, record, progress, folder, { signal, heldOut })) {
      const perIteration = (performance.now() - start) / 1000 / (metrics.iteration - firstIteration);
      print(progressLine(metrics, options, perIteration));
    }
  } finally {
    await source?.close({ done: isDone() });
    optimizer.dispose();
    if (reference !== model.base) reference?.dispose();
  }
  if (heldOut) printBest(heldOut, folder);
  if (options.maxSampledTokens !== undefined)
    note(
      `sampled ${sampledSoFar()} response tokens in ${state.step} iterations (rl.max_sampled_tokens ${options.maxSampledTokens})`,
    );
  const finished = isDone() || heldOut?.ends === true;
  if (!finished) note(`interrupted after iteration ${state.step}; the same command goes on from there`);
  return { model, finished };
}

/** Response tokens that the run has sampled, with those of its first pass: as the checkpoint has it, whatever its log lacks. */
async function sampledBefore({ state }: Progress, folder: RunFolder): Promise<number> {
  if (state.num_sampled_tokens !== undefined) return state.num_sampled_tokens;
  if (state.step > 0 && folder.config.rl.max_sampled_tokens !== undefined)
    throw new ConfigError(
      `${folder.checkpoints}: expected a checkpoint that says how many tokens were sampled, got one of an earlier version; leave rl.max_sampled_tokens unset`,
    );
  const rows = (await folder.takeRows(FIRST_PASS)) as unknown as SamplingCost[];
  return rows.reduce((sum, row) => sum + row.num_sampled_tokens, 0);
}

/** Evaluation on held-out problems along the run, where it is asked for. The initial model's is kept with the checkpoints. */
async function openHeldOut(
  gpu: Gpu,
  sources: Sources,
  folder: RunFolder,
  { model, optimizer, state }: Progress,
  { source, signal }: { source: RolloutSource | null; signal: AbortSignal },
): Promise<HeldOut | null> {
  const { config } = folder;
  if (config.train.eval_every === undefined) return null;
  const score = async (of: Model) => {
    // A fleet draws from the policy alone, and has no tokenizer for stop strings.
    const llm =
      source && of === model && config.eval.stop.length === 0
        ? engineOf(source, optimizer)
        : new Sampler(of, engineOptions(config), { onWarning: note });
    const scores = await scoreHeldOut(llm, sources, config, signal);
    note(`held-out problems: accuracy ${percent(scores.accuracy)}, ${scores.mean_length.toFixed(1)} tokens`);
    return scores;
  };
  if (!state.base) {
    const before = state.step === 0 ? model : model.base;
    const initial = before ?? (await Model.load(gpu, files, sources.modelDir, { dtype: config.model.dtype }));
    state.base = await score(initial);
    if (initial !== before) initial.dispose();
  }
  return new HeldOut(config.train, { base: state.base, score: () => score(model), rows: await folder.readMetrics() });
}

function printBest({ base, best, ends }: HeldOut, folder: RunFolder): void {
  if (ends) note("ended early: the last evaluations brought nothing better");
  if (!best) return print(`best: none fulfils "${folder.config.train.best}"`);
  const change = percent(best.mean_length / base.mean_length - 1);
  print(
    `best: ${checkpointPath(folder.checkpoints, best.step)} | accuracy ${percent(best.accuracy)}, base ${percent(base.accuracy)} | ` +
      `tokens ${best.mean_length.toFixed(1)}, base ${base.mean_length.toFixed(1)} (${change})`,
  );
}

function goal({ rl }: Config): string {
  if (rl.target_length !== undefined) return `target ${rl.target_length} tokens`;
  if (rl.max_accuracy_drop !== undefined) return `accuracy drop of at most ${percent(rl.max_accuracy_drop)}`;
  return rl.length_reward === "sigmoid" ? `alpha ${rl.alpha}` : `length reward ${rl.length_reward}`;
}

/** Iterations that report what the fleet did, too. */
async function* withFleetMetrics(
  iterations: AsyncGenerator<RlIteration>,
  source: FleetSource,
): AsyncGenerator<RlIteration> {
  for await (const iteration of iterations)
    yield { ...iteration, metrics: { ...iteration.metrics, ...source.takeMetrics() } };
}

/** Who sampled, where that was a fleet. */
function samplersText({ "fleet/workers": workers, "fleet/worker_idle": idle }: Partial<FleetMetrics>): string[] {
  if (workers === undefined) return [];
  const count = workers === 1 ? "1 worker" : `${workers} workers`;
  return [idle === undefined ? count : `${count}, ${percent(idle)} idle`];
}

function progressLine(
  m: RlMetrics & Partial<FleetMetrics>,
  { maxIterations: total, maxSampledTokens: most }: RlOptions,
  secondsPerIteration: number,
): string {
  const perIteration = m.num_sampled_tokens / m.iteration;
  const left = Math.min(
    total - m.iteration,
    most === undefined ? Infinity : (most - m.num_sampled_tokens) / perIteration,
  );
  return [
    most === undefined
      ? `iteration ${String(m.iteration).padStart(String(total).length)}/${total}`
      : `iteration ${m.iteration}, ${m.num_sampled_tokens} of ${most} tokens sampled`,
    `alpha ${m.alpha.toFixed(2)}`,
    `reward ${m.reward.toFixed(3)}`,
    `accuracy ${percent(m.accuracy)}`,
    `tokens ${m["completions/mean_length"].toFixed(1)}`,
    `cut off ${percent(m["completions/clipped_ratio"])}`,
    `kl ${m.kl.toExponential(1)}`,
    `grad ${m.grad_norm.toFixed(2)}`,
    `|sampler - trainer| ${m["sampling/logp_difference_max"].toExponential(1)}`,
    `${Math.round(m.num_tokens / m.step_time)} tok/s`,
    ...samplersText(m),
    `${duration(secondsPerIteration * Math.max(0, left))} left`,
  ].join(" | ");
}
