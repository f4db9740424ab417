import { FormatError, UsageError } from "../errors.ts";
import { strengthLabel } from "../reproduce/experiment.ts";
import { PAPER_TABLES } from "../run/paper-tables.ts";
import { renderComparison, type ComparedRun } from "../run/compare.ts";
import { RunFolder } from "../run/run-folder.ts";
import { readSaved, savedEvaluation, savedReproduction } from "../run/saved.ts";
import { readResponses } from "./eval.ts";
import { files, print } from "./host.ts";
import { writeReport } from "./start.ts";

/** `pith report RUN`: report.html of a run's folder. `--compare`: several runs and the paper's tables in one page. */
export async function reportCommand(
  paths: readonly string[],
  { compare, output }: { compare: boolean; output: string },
): Promise<void> {
  const given = paths.map((path) => path.replace(/\/+$/, ""));
  if (compare) {
    if (given.length === 0) throw new UsageError("report --compare: expected runs to compare");
    const runs = (await Promise.all(given.map(readRun))).flat();
    await files.write(output, renderComparison(runs, PAPER_TABLES));
    return print(output);
  }
  if (given.length !== 1)
    throw new UsageError(`report: expected one run, got ${given.length}; --compare takes several`);
  print(await writeReport(given[0]!));
}

/** The points of a folder of `start`, of `reproduce`, or of a file that `eval --output` wrote. */
async function readRun(path: string): Promise<ComparedRun[]> {
  const name = path.split("/").at(-1)!;
  if (path.endsWith(".jsonl")) {
    const { mean_length, accuracy } = await readResponses(path);
    return [{ name, method: name, label: null, tokens: mean_length, accuracy }];
  }
  if (await files.exists(`${path}/reproduce.json`)) {
    const { rows } = await readSaved(files, `${path}/reproduce.json`, savedReproduction);
    return rows.map((row) => ({
      ...row,
      label: strengthLabel(row),
      name: `${name}: ${row.method}${row.method === "Base" ? `, ${row.context} tokens at most` : ""}`,
    }));
  }
  if (await files.exists(`${path}/evaluation.json`)) {
    const { before, after } = await readSaved(files, `${path}/evaluation.json`, savedEvaluation);
    const { rl } = (await RunFolder.read(files, path)).config;
    const steered = rl.target_length !== undefined || rl.max_accuracy_drop !== undefined;
    const point = ({ mean_length, accuracy }: { mean_length: number; accuracy: number }) => ({
      tokens: mean_length,
      accuracy,
    });
    return [
      { name: `${name}, before`, method: "Base", label: null, ...point(before) },
      { name, method: "RL", label: steered ? null : `α ${rl.alpha}`, ...point(after) },
    ];
  }
  throw new FormatError(
    `${path}: expected a folder of pith start or pith reproduce, or responses that pith eval --output wrote`,
  );
}
