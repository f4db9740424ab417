import { EVALUATION_SETS, type EvaluationName } from "./evaluation-sets.ts";
import { normaliseProblem } from "./normalise.ts";
import { ConfigError } from "../errors.ts";
import { gradeMarked, GRADERS, type Grader } from "../grader/grade.ts";
import { mathRows, NOT_A_NUMBER, unusable } from "./math-rows.ts";
import { proseSolutions } from "./prose-solutions.ts";
import { readDataset, type DataHost } from "./rows.ts";
import type { Problem, Task, TaskOptions } from "./task.ts";

/**
 * The prompt that the paper trained with: DeepSeek-R1's template of January 2025 spelled out, special tokens included, on
 * one line (the released code; the paper's appendix C prints a line break).
 */
const PAPER_TEMPLATE =
  "<｜begin▁of▁sentence｜><｜User｜>Please reason step by step, and put your final answer within \\boxed{}. Question: {problem}<｜Assistant｜>";

interface MathOptions {
  problem_column?: string;
  answer_column?: string;
  /** Text around {problem}; special tokens may be spelled out. */
  prompt_template?: string;
  grader?: Grader;
}

/** Word problems with numeric answers from files in the shapes of GSM8K, MATH, AIME and DeepScaleR. */
export const mathTask = (options: TaskOptions, host: DataHost): Promise<Task> => makeTask("math", options, host);

/** The same with one of the paper's evaluation sets held out: all its problems, from `test_path` or else the hub. */
export const evaluationTask =
  (name: EvaluationName) =>
  (options: TaskOptions, host: DataHost): Promise<Task> =>
    makeTask(name, { ...options, test_path: options.test_path ?? EVALUATION_SETS[name] }, host);

async function makeTask(
  name: "math" | EvaluationName,
  { path, test_path, options }: TaskOptions,
  host: DataHost,
): Promise<Task> {
  const known = ["problem_column", "answer_column", "prompt_template", "grader"];
  const unknown = Object.keys(options).find((key) => !known.includes(key));
  if (unknown) throw new ConfigError(`task.options.${unknown}: expected one of ${known.join(", ")}`);
  for (const [key, value] of Object.entries(options)) {
    if (typeof value !== "string")
      throw new ConfigError(`task.options.${key}: expected a text, got ${JSON.stringify(value)}`);
  }
  if (!path && !test_path)
    throw new ConfigError(
      "task.path or task.test_path: expected a .jsonl, .json or .parquet file or a hub data set for task math, got neither",
    );
  const settings = options as MathOptions;
  if (settings.grader !== undefined && !GRADERS.includes(settings.grader))
    throw new ConfigError(`task.options.grader: expected ${GRADERS.join(" or ")}, got ${String(settings.grader)}`);
  const template = settings.prompt_template ?? PAPER_TEMPLATE;
  if (!template.includes("{problem}"))
    throw new ConfigError("task.options.prompt_template: expected a text with {problem} in it");

  const none = { problems: [], dropped: {} };
  const test = test_path ? await loadMath(host, test_path, settings, { anyAnswer: name !== "math" }) : none;
  const heldOut = new Set(test.problems.map(({ prompt }) => normaliseProblem(prompt)));
  const train = path ? await loadMath(host, path, settings, { heldOut }) : none;
  return {
    name,
    train: train.problems,
    test: test.problems,
    dropped: path ? train.dropped : test.dropped,
    render: (problem) => template.replace("{problem}", () => problem.prompt),
    judge: (problem, response) => gradeMarked(response, problem.answer, settings.grader),
    solutions: (problem, response) =>
      proseSolutions(response, (answer) => gradeMarked(`\\boxed{${answer}}`, problem.answer, settings.grader).correct),
  };
}

/**
 * A data set's problems whose gold answer parses to a number (the paper's filter; with `anyAnswer` whatever it is) and whose
 * normalised text is not in `heldOut`, and how many rows were dropped, by reason.
 */
export async function loadMath(
  host: DataHost,
  path: string,
  columns: MathOptions = {},
  { anyAnswer = false, heldOut = new Set() }: { anyAnswer?: boolean; heldOut?: ReadonlySet<string> } = {},
): Promise<{ problems: Problem[]; dropped: Record<string, number> }> {
  const problems: Problem[] = [];
  const dropped: Record<string, number> = {};
  const seen = new Set<string>();
  for (const { row: _row, ...problem } of mathRows(await readDataset(host, path), path, columns)) {
    const { prompt } = problem;
    const repeated = seen.has(prompt) ? "duplicate problem" : null;
    const unfit = unusable(problem);
    const reason = heldOut.has(normaliseProblem(prompt))
      ? "held out"
      : ((anyAnswer && unfit === NOT_A_NUMBER ? null : unfit) ?? repeated);
    if (reason) {
      dropped[reason] = (dropped[reason] ?? 0) + 1;
      continue;
    }
    seen.add(prompt);
    problems.push(problem);
  }
  return { problems, dropped };
}
