import { FormatError } from "../errors.ts";
import { markedAnswer } from "../grader/marked-answer.ts";
import { parseNumber } from "../grader/number.ts";
import type { Row } from "./rows.ts";

/** Columns that hold the problem, and the gold answer or a solution that states it, in the order in which they are tried. */
const PROBLEM_COLUMNS = ["problem", "question", "prompt"];
const ANSWER_COLUMNS = ["answer", "solution", "target"];
const DIFFICULTY_COLUMNS = ["level", "difficulty"];

/** A problem as a file in the shape of GSM8K, MATH, AIME, DeepScaleR or NuminaMath has it; "" where a text is missing. */
export interface MathRow {
  id: string;
  prompt: string;
  /** The gold answer as it stands, or the one that a worked solution ends with. */
  answer: string;
  difficulty: string;
  row: Row;
}

/** The rows of `source` (named in errors) as problems. */
export function mathRows(
  rows: readonly Row[],
  source: string,
  { problem_column, answer_column }: { problem_column?: string; answer_column?: string } = {},
): MathRow[] {
  const first = rows[0];
  if (!first) throw new FormatError(`${source}: expected rows, got an empty file`);
  const column = (wanted: string | undefined, candidates: string[]) => {
    const found = [...(wanted ? [wanted] : candidates)].find((name) => name in first);
    if (!found)
      throw new FormatError(
        `${source}: expected a column ${wanted ?? candidates.join(" or ")}, got ${Object.keys(first).join(", ")}`,
      );
    return found;
  };
  const problemColumn = column(problem_column, PROBLEM_COLUMNS);
  const answerColumn = column(answer_column, ANSWER_COLUMNS);
  const difficultyColumn = DIFFICULTY_COLUMNS.find((name) => name in first);
  return rows.map((row, index) => ({
    id: String(row["unique_id"] ?? row["id"] ?? index),
    prompt: textOf(row, problemColumn),
    answer: goldOf(textOf(row, answerColumn)),
    difficulty: difficultyColumn ? textOf(row, difficultyColumn) : "all",
    row,
  }));
}

export const NOT_A_NUMBER = "answer is not a number";

/** Why a row has no answer that parses to a number (the paper's filter), null if it has one. */
export function unusable({ prompt, answer }: { prompt: string; answer: string }): string | null {
  if (prompt === "") return "no problem";
  if (answer === "") return "no answer";
  return parseNumber(answer) === null ? NOT_A_NUMBER : null;
}

const textOf = (row: Row, column: string): string =>
  row[column] === undefined || row[column] === null ? "" : String(row[column]).trim();

const goldOf = (text: string): string => markedAnswer(text) || (/\\boxed|####/.test(text) ? "" : text);
