import { basename } from "node:path";
import { evaluationSource } from "../tasks/evaluation-sets.ts";
import { NOT_DRAWN, prepareTraining, type NamedRows, type Prepared } from "../data/prepare.ts";
import { FormatError, UsageError } from "../errors.ts";
import { mathRows } from "../tasks/math-rows.ts";
import { readDataset } from "../tasks/rows.ts";
import { dataHost, files, note, print } from "./host.ts";

export interface PrepareOptions {
  /** Where the training file goes, .jsonl; the report goes beside it. */
  output: string;
  /** Data sets that no row may be in: names of evaluation sets, files or hub ids. */
  evaluation: readonly string[];
  /** The sources to take; all where none is named. */
  sources: readonly string[];
  take: number;
  seed: number;
}

/** `pith data prepare`: data sets to one training file, with a report of what was left out and why. */
export async function prepareCommand(inputs: readonly string[], options: PrepareOptions): Promise<void> {
  const { output, evaluation, sources: only, take, seed } = options;
  if (inputs.length === 0)
    throw new UsageError("pith data prepare: expected data sets (.jsonl, .json, .parquet or a hub id), got none");
  if (!output.endsWith(".jsonl")) throw new UsageError(`--output: expected a .jsonl file, got ${output || "none"}`);
  const twice = inputs.find((input, i) => inputs.indexOf(input) !== i);
  if (twice !== undefined) throw new UsageError(`expected each data set once, got ${twice} twice`);

  const sources = await Promise.all(inputs.map((input) => load(input, input)));
  const heldOut = await Promise.all(evaluation.map((name) => load(name, evaluationSource(name))));
  if (heldOut.length === 0) note("no --eval: nothing is held out");
  const prepared = prepareTraining(named(sources), named(heldOut), { sources: only, take, seed });
  const absent = only.find((name) => !prepared.sources.includes(name));
  if (absent !== undefined)
    throw new UsageError(`--source: expected some of ${prepared.sources.slice(0, 20).join(", ")}, got ${absent}`);
  if (prepared.rows.length === 0)
    throw new FormatError(`${inputs.join(", ")}: no row is left to train on: ${reasons(prepared).join(", ")}`);

  const report = {
    output,
    seed,
    take,
    sources: only.length > 0 ? only : "all",
    inputs: counts(sources),
    evaluation: counts(heldOut),
    rows: prepared.rows.length,
    left_out: Object.fromEntries(tally(prepared)),
    strata: prepared.strata,
    dropped: prepared.dropped.filter(({ reason }) => reason !== NOT_DRAWN),
  };
  const reportPath = output.replace(/\.jsonl$/, ".report.json");
  await writeWhole(output, prepared.rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  await writeWhole(reportPath, `${JSON.stringify(report, null, 1)}\n`);

  table(
    "rows read",
    [...sources, ...heldOut.map((set) => ({ ...set, name: `held out: ${set.name}` }))].map(({ name, rows }) => [
      name,
      rows.length,
    ]),
  );
  table("rows left out", tally(prepared));
  table(
    "rows kept",
    prepared.strata.map(({ source, difficulty, available, taken }) => [
      `${source}, ${difficulty}`,
      `${taken} of ${available}`,
    ]),
  );
  if (prepared.rows.length < take) note(`expected ${take} rows, got ${prepared.rows.length}: all that passed are kept`);
  print(`${prepared.rows.length} rows in ${output}; why each row was left out: ${reportPath}`);
}

async function load(name: string, source: string): Promise<NamedRows & { source: string }> {
  return { name, source, rows: mathRows(await readDataset(dataHost, source), source) };
}

/** Rows are named by their file alone unless two files share that name, so that a report does not depend on the folder. */
function named(sets: readonly NamedRows[]): NamedRows[] {
  const short = sets.map(({ name }) => basename(name));
  return new Set(short).size === short.length ? sets.map((set, i) => ({ ...set, name: short[i]! })) : [...sets];
}

const counts = (sets: readonly (NamedRows & { source: string })[]) =>
  sets.map(({ name, source, rows }) => ({ name, source, rows: rows.length }));

/** Rows left out by reason, most first. */
function tally({ dropped }: Prepared): [reason: string, count: number][] {
  const byReason = new Map<string, number>();
  for (const { reason } of dropped) byReason.set(reason, (byReason.get(reason) ?? 0) + 1);
  return [...byReason].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
}

const reasons = (prepared: Prepared): string[] => tally(prepared).map(([reason, count]) => `${count} ${reason}`);

function table(title: string, rows: readonly (readonly [label: string, value: number | string])[]): void {
  print(title);
  const width = Math.max(...rows.map(([label]) => label.length));
  for (const [label, value] of rows) print(`  ${label.padEnd(width)} ${String(value).padStart(16)}`);
}

/** A reader finds the old file or the new one, never a part. */
async function writeWhole(path: string, text: string): Promise<void> {
  const folder = path.slice(0, path.lastIndexOf("/"));
  if (path.includes("/") && folder !== "") await files.mkdir(folder);
  await files.write(`${path}.part`, text);
  await files.rename(`${path}.part`, path);
}
