import { FormatError } from "../errors.ts";
import { brief } from "../hf/json.ts";
import { markedAnswer } from "../grader/marked-answer.ts";
import { parseNumber } from "../grader/number.ts";
import type { Row } from "./rows.ts";

/** Columns that hold the problem, and the gold answer or a solution that states it, in the order in which they are tried. */
const PROBLEM_COLUMNS = ["problem", "question", "prompt"];
const ANSWER_COLUMNS = ["answer", "solution", "target", "reward_model"];
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
    prompt: problemOf(row, problemColumn, `${source}: row ${index}`),
    answer: goldOf(answerOf(row, answerColumn)),
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

/** A column's text. Numbers are written out, a list's items stand with commas between them, and anything else is no text. */
function textOf(row: Row, column: string): string {
  const value = row[column];
  if (typeof value === "string") return value.trim();
  if (typeof value === "number" || typeof value === "bigint" || typeof value === "boolean") return String(value);
  if (Array.isArray(value)) {
    const items = value.map((item, i) => textOf({ [i]: item }, String(i)));
    return items.includes("") ? "" : items.join(", ");
  }
  return "";
}

/** Roles of messages that a problem may have: what the system says is the template's business here. */
const SYSTEM = ["system", "developer"];

/** The problem's text: as it stands, or what the user says where it is a conversation (TRL's and verl's shape). */
function problemOf(row: Row, column: string, where: string): string {
  const value = row[column];
  const expected = `${where}: expected column ${column} to hold a text or one message of the user`;
  if (!Array.isArray(value)) return textOf(row, column);
  const messages = value as readonly unknown[];
  const isMessage = (message: unknown): message is Row =>
    typeof message === "object" && message !== null && typeof (message as Row)["role"] === "string";
  const spoken = messages.filter((message) => !isMessage(message) || !SYSTEM.includes(String(message["role"])));
  const [message] = spoken;
  if (spoken.length !== 1 || !isMessage(message) || message["role"] !== "user") {
    throw new FormatError(`${expected}, got ${brief(value)}`);
  }
  const { content } = message;
  const parts = Array.isArray(content)
    ? (content as readonly unknown[]).map((part) => {
        const isText = typeof part === "object" && part !== null && typeof (part as Row)["text"] === "string";
        if (!isText) throw new FormatError(`${expected}, got a part of it that is no text: ${brief(part)}`);
        return textOf(part as Row, "text");
      })
    : [textOf(message, "content")];
  return parts.join("\n").trim();
}

/** The gold answer's text; verl keeps it under ground_truth. */
function answerOf(row: Row, column: string): string {
  const value = row[column];
  const nested = typeof value === "object" && value !== null && "ground_truth" in value;
  return nested ? textOf(value as Row, "ground_truth") : textOf(row, column);
}

const goldOf = (text: string): string => markedAnswer(text) || (/\\boxed|####/.test(text) ? "" : text);
