import { groupAdvantages, type Advantage, type ScaleRewards } from "../core/advantage.ts";
import { isCorrect } from "../core/group.ts";
import { grpoLeadWeight } from "../core/length-rewards/grpo-lead.ts";
import { shortestCorrect } from "../core/length-rewards/hapo.ts";
import { LENGTH_REWARDS, type LengthRewardName, type Numbers, type Reference } from "../core/length-rewards/index.ts";
import { largestStage, type Stages } from "../core/schedule.ts";
import { ConfigError } from "../errors.ts";
import type { Problem } from "../tasks/task.ts";
import type { Rollout } from "./rollouts.ts";

export interface RewardOptions {
  lengthReward: LengthRewardName;
  /** Its numbers, where they are not the published ones. */
  lengthRewardOptions: Numbers;
  advantage: Advantage;
  scaleRewards: ScaleRewards;
}

/** What a reward function is told, under TRL's names: an entry a response, a prompt's responses one after the other. */
export interface RewardInputs {
  prompts: string[];
  completions: string[];
  completion_ids: (readonly number[])[];
  /** The problems' columns. */
  answer: string[];
  difficulty: (string | number)[];
  problem_id: string[];
}

/** A number for each response; null where it has nothing to say of one. */
export type RewardFunction = (inputs: RewardInputs) => (number | null)[] | Promise<(number | null)[]>;

export interface NamedReward {
  /** In the metrics rewards/{name}/mean and /std. */
  name: string;
  weight: number;
  /** null for the task's verdict, to which the length reward belongs. */
  score: RewardFunction | null;
}

/** The task's verdict alone. */
export const CORRECT: NamedReward = { name: "correct", weight: 1, score: null };

/** rewards/{name}/mean and /std, of the responses that it has something to say of; TRL's names. */
export type RewardMetrics = Record<`rewards/${string}/${"mean" | "std"}`, number>;

/** The rewards by their names: `correct`, or the path of a module whose default export is a RewardFunction, named by its file. */
export async function loadRewards(
  rewards: readonly { name: string; weight: number }[],
  importModule: (path: string) => Promise<unknown>,
): Promise<NamedReward[]> {
  const loaded: NamedReward[] = [];
  for (const { name: path, weight } of rewards) {
    const name = path === "correct" ? path : path.replace(/^.*[\\/]/, "").replace(/\.[^.]+$/, "");
    if (loaded.some((other) => other.name === name))
      throw new ConfigError(`rl.rewards: expected each name once, got ${name} twice`);
    loaded.push({ name, weight, score: path === "correct" ? null : await loadReward(path, importModule) });
  }
  return loaded;
}

async function loadReward(path: string, importModule: (path: string) => Promise<unknown>): Promise<RewardFunction> {
  if (!/[./]/.test(path))
    throw new ConfigError(`rl.rewards: expected correct or a module's path such as ./reward.ts, got ${path}`);
  let module: { default?: unknown };
  try {
    module = (await importModule(path)) as { default?: unknown };
  } catch (error) {
    throw new ConfigError(`rl.rewards: cannot load ${path}: ${(error as Error).message}`, { cause: error });
  }
  if (typeof module.default !== "function")
    throw new ConfigError(`${path}: expected its default export to be a function that rewards responses`);
  return module.default as RewardFunction;
}

/** Says why a run would not feel its length reward; null where it would. */
export function inertReward({
  lengthReward,
  lengthRewardOptions,
  maxCompletionLength,
  scaleRewards,
}: RewardOptions & { maxCompletionLength: Stages }): string | null {
  const maxLength = largestStage(maxCompletionLength);
  const why = LENGTH_REWARDS[lengthReward].inert(lengthRewardOptions, { maxLength, scaleRewards });
  return why && `rl.length_reward ${lengthReward} will hardly be felt: ${why}`;
}

/** Tokens of the shortest correct response so far, by problem: what HAPO keeps from iteration to iteration. */
export type Records = Record<string, number>;

/** Responses to one prompt and what they earn: an entry a response. */
export interface ScoredGroup {
  rollouts: readonly Rollout[];
  /** What each named reward says of them; of the task's verdict without the length reward. */
  said: Readonly<Record<string, (number | null)[]>>;
  /** The weighted sum. */
  rewards: number[];
}

/** What groups earn. Records are those of before the iteration. */
export async function scoreGroups(
  groups: readonly Rollout[][],
  options: RewardOptions,
  {
    alpha,
    maxLength,
    records,
    rewards,
  }: { alpha: number; maxLength: number; records: Readonly<Records>; rewards: readonly NamedReward[] },
): Promise<ScoredGroup[]> {
  const all = groups.flat();
  const total = all.map(() => 0);
  const said: Record<string, (number | null)[]> = {};
  for (const { name, weight, score } of rewards) {
    const values = score ? await scored(name, score, all) : lengthRewarded(groups, options, alpha, maxLength, records);
    values.forEach((value, i) => {
      if (value !== null) total[i]! += weight * value;
    });
    said[name] = score ? values : all.map((rollout) => rollout.score);
  }
  let first = 0;
  return groups.map((rollouts) => {
    const [from, to] = [first, (first += rollouts.length)];
    const own = Object.entries(said).map(([name, values]) => [name, values.slice(from, to)] as const);
    return { rollouts, said: Object.fromEntries(own), rewards: total.slice(from, to) };
  });
}

/** Advantages of an iteration's groups, and what each reward came to. */
export function compareGroups(
  groups: readonly ScoredGroup[],
  options: RewardOptions,
): { rollouts: Rollout[]; metrics: RewardMetrics } {
  const metrics: RewardMetrics = {};
  for (const name of Object.keys(groups[0]!.said)) {
    const said = groups.flatMap((group) => group.said[name]!).filter((value) => value !== null);
    Object.assign(metrics, { [`rewards/${name}/mean`]: mean(said), [`rewards/${name}/std`]: sampleStd(said) });
  }
  const advantages = groupAdvantages(
    groups.map(({ rewards }) => rewards),
    options,
  );
  const rollouts = groups.flatMap(({ rollouts: group, rewards }, g) => {
    const solved = mean(group.map((rollout) => Number(isCorrect(rollout))));
    return group.map((rollout, i) => {
      const advantage = advantages[g]![i]!;
      const weight = options.lengthReward === "grpo_lead" ? grpoLeadWeight(advantage > 0 ? solved : 1 - solved) : 1;
      return { ...rollout, reward: rewards[i]!, advantage: weight * advantage };
    });
  });
  return { rollouts, metrics };
}

/** Takes an iteration's groups into the records. */
export function updateRecords(records: Records, groups: readonly (readonly Rollout[])[]): void {
  for (const group of groups) {
    const { id } = group[0]!.problem;
    const shortest = shortestCorrect(records[id] ?? null, group);
    if (shortest !== null) records[id] = shortest;
  }
}

function lengthRewarded(
  groups: readonly Rollout[][],
  { lengthReward, lengthRewardOptions }: RewardOptions,
  alpha: number,
  maxLength: number,
  records: Readonly<Records>,
): number[] {
  const { needs, rewards } = LENGTH_REWARDS[lengthReward];
  return groups.flatMap((group: Rollout[]) => {
    const { problem } = group[0]!;
    const reference: Reference = { record: records[problem.id] ?? null, ...problem.reference };
    if (needs !== undefined && reference[needs] === undefined) throw lacks(problem, lengthReward, needs);
    return rewards(group, lengthRewardOptions, { alpha, maxLength, reference });
  });
}

const lacks = (problem: Problem, lengthReward: string, needs: string) =>
  new ConfigError(
    `rl.length_reward ${lengthReward}: expected reference.${needs} with every problem, got none with ${problem.id}; use a task that gives it, or another length reward`,
  );

async function scored(name: string, score: RewardFunction, rollouts: readonly Rollout[]): Promise<(number | null)[]> {
  const values = await score({
    prompts: rollouts.map(({ prompt }) => prompt),
    completions: rollouts.map(({ text }) => text),
    completion_ids: rollouts.map(({ tokenIds }) => tokenIds),
    answer: rollouts.map(({ problem }) => problem.answer),
    difficulty: rollouts.map(({ problem }) => problem.difficulty),
    problem_id: rollouts.map(({ problem }) => problem.id),
  });
  const wrong = Array.isArray(values)
    ? values.find((value) => value !== null && !Number.isFinite(value))
    : "something else";
  if (wrong !== undefined || values.length !== rollouts.length)
    throw new ConfigError(
      `reward ${name}: expected ${rollouts.length} finite numbers or nulls, one a response, got ${wrong ?? values.length}`,
    );
  return values;
}

const mean = (values: readonly number[]): number =>
  values.length === 0 ? 0 : values.reduce((a, b) => a + b, 0) / values.length;

/** With n - 1, as TRL has it; 0 for fewer than two. */
function sampleStd(values: readonly number[]): number {
  if (values.length < 2) return 0;
  const m = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - m) ** 2, 0) / (values.length - 1));
}
