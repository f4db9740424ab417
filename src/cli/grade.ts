import { FormatError } from "../errors.ts";
import { compareAnswers, grade, type Grader } from "../grader/grade.ts";
import { percent } from "../core/format.ts";
import { files, print } from "./host.ts";

/** A line of the input: two answers as they stand, or a response and the gold answer or solution. */
type Line = { pred: string; ref: string } | { response: string; gold: string; dataset?: string };

/** `pith grade`: JSON lines in, each with verdict, extracted and reason out, in order, and a summary on standard output. */
export async function gradeCommand(grader: Grader, input: string, output: string): Promise<void> {
  const lines = (await files.readText(input)).split("\n");
  let correct = 0;
  const graded = lines.flatMap((text, i) => {
    if (text.trim() === "") return [];
    const line = parseLine(text, `${input}, line ${i + 1}`);
    const { verdict, extracted, reason } =
      "pred" in line
        ? { extracted: line.pred, ...compareAnswers(line.pred, line.ref, grader) }
        : grade(line.response, line.gold, { grader, ...(line.dataset === undefined ? {} : { dataset: line.dataset }) });
    if (verdict) correct++;
    return [`${JSON.stringify({ ...line, verdict, extracted, reason })}\n`];
  });
  await files.write(`${output}.part`, graded.join(""));
  await files.rename(`${output}.part`, output);
  print(
    `${correct} of ${graded.length} correct (${percent(correct / Math.max(1, graded.length))}), by ${grader}: ${output}`,
  );
}

function parseLine(text: string, where: string): Line {
  let json: Record<string, unknown> | null = null;
  try {
    json = JSON.parse(text) as Record<string, unknown> | null;
  } catch {
    // reported below, with what was found
  }
  const isText = (...names: string[]) => names.every((name) => typeof json?.[name] === "string");
  const dataset = json?.["dataset"];
  if (!(isText("pred", "ref") || isText("response", "gold")) || (dataset !== undefined && typeof dataset !== "string"))
    throw new FormatError(
      `${where}: expected an object with texts pred and ref, or response and gold, got ${text.slice(0, 80)}`,
    );
  return json as Line;
}
