import { ConfigError, FormatError } from "../errors.ts";
import { extractAnswer } from "../grader/extract.ts";
import { gradeAnswer } from "../grader/grade.ts";
import { parseNumber } from "../grader/number.ts";
import type { Files } from "../runtime/types.ts";
import { readRows, type Row } from "./rows.ts";
import type { Problem, Task, TaskOptions } from "./task.ts";

/**
 * The prompt that the paper trained with: DeepSeek-R1's template of January 2025 spelled out, special tokens included, on
 * one line (the released code; the paper's appendix C prints a line break).
 */
const PAPER_TEMPLATE =
  "<｜begin▁of▁sentence｜><｜User｜>Please reason step by step, and put your final answer within \\boxed{}. Question: {problem}<｜Assistant｜>";

/** Columns that hold the problem, and the gold answer or a solution that states it, in the order in which they are tried. */
const PROBLEM_COLUMNS = ["problem", "question", "prompt"];
const ANSWER_COLUMNS = ["answer", "solution", "target"];
const DIFFICULTY_COLUMNS = ["level", "difficulty"];

interface MathOptions {
  problem_column?: string;
  answer_column?: string;
  /** Text around {problem}; special tokens may be spelled out. */
  prompt_template?: string;
}

/** Word problems with numeric answers from files in the shapes of GSM8K, MATH, AIME and DeepScaleR. */
export async function mathTask({ path, test_path, options }: TaskOptions, { files }: { files: Files }): Promise<Task> {
  const known = ["problem_column", "answer_column", "prompt_template"];
  const unknown = Object.keys(options).find((key) => !known.includes(key));
  if (unknown) throw new ConfigError(`task.options.${unknown}: expected one of ${known.join(", ")}`);
  for (const [key, value] of Object.entries(options)) {
    if (typeof value !== "string")
      throw new ConfigError(`task.options.${key}: expected a text, got ${JSON.stringify(value)}`);
  }
  if (!path && !test_path)
    throw new ConfigError(
      "task.path or task.test_path: expected a .jsonl, .json or .parquet file for task math, got neither",
    );
  const settings = options as MathOptions;
  const template = settings.prompt_template ?? PAPER_TEMPLATE;
  if (!template.includes("{problem}"))
    throw new ConfigError("task.options.prompt_template: expected a text with {problem} in it");

  const test = test_path ? await loadMath(files, test_path, settings) : { problems: [], dropped: {} };
  const heldOut = new Set(test.problems.map(({ prompt }) => prompt));
  const train = path ? await loadMath(files, path, settings, heldOut) : { problems: [], dropped: {} };
  return {
    name: "math",
    train: train.problems,
    test: test.problems,
    dropped: path ? train.dropped : test.dropped,
    render: (problem) => template.replace("{problem}", () => problem.prompt),
    judge: (problem, response) => gradeAnswer(response, problem.answer),
  };
}

/**
 * A file's problems whose gold answer parses to a number (the paper's filter) and whose text is not in `heldOut`, and how
 * many rows were dropped, by reason.
 */
export async function loadMath(
  files: Files,
  path: string,
  { problem_column, answer_column }: MathOptions = {},
  heldOut: ReadonlySet<string> = new Set(),
): Promise<{ problems: Problem[]; dropped: Record<string, number> }> {
  const rows = await readRows(files, path);
  const first = rows[0];
  if (!first) throw new FormatError(`${path}: expected rows, got an empty file`);
  const column = (wanted: string | undefined, candidates: string[]) => {
    const found = [...(wanted ? [wanted] : candidates)].find((name) => name in first);
    if (!found)
      throw new FormatError(
        `${path}: expected a column ${wanted ?? candidates.join(" or ")}, got ${Object.keys(first).join(", ")}`,
      );
    return found;
  };
  const problemColumn = column(problem_column, PROBLEM_COLUMNS);
  const answerColumn = column(answer_column, ANSWER_COLUMNS);
  const difficultyColumn = DIFFICULTY_COLUMNS.find((name) => name in first);

  const problems: Problem[] = [];
  const dropped: Record<string, number> = {};
  const seen = new Set<string>();
  rows.forEach((row, index) => {
    const prompt = textOf(row, problemColumn);
    const answer = goldOf(textOf(row, answerColumn));
    const reason = heldOut.has(prompt) ? "held out" : dropReason(prompt, answer, seen);
    if (reason) {
      dropped[reason] = (dropped[reason] ?? 0) + 1;
      return;
    }
    seen.add(prompt);
    const difficulty = difficultyColumn ? textOf(row, difficultyColumn) : "all";
    problems.push({ id: String(row["unique_id"] ?? row["id"] ?? index), prompt, answer, difficulty });
  });
  return { problems, dropped };
}

function dropReason(prompt: string, answer: string, seen: ReadonlySet<string>): string | null {
  if (prompt === "") return "no problem";
  if (answer === "") return "no answer";
  if (parseNumber(answer) === null) return "answer is not a number";
  return seen.has(prompt) ? "duplicate problem" : null;
}

const textOf = (row: Row, column: string): string =>
  row[column] === undefined || row[column] === null ? "" : String(row[column]).trim();

/** A gold answer as it stands, or the one that a worked solution ends with. */
const goldOf = (text: string): string => extractAnswer(text) || (/\\boxed|####/.test(text) ? "" : text);
