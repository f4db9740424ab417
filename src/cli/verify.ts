import type { ModelDType } from "../model/model.ts";
import { RunFolder } from "../run/run-folder.ts";
import { verifyRun } from "../train/verify-run.ts";
import { runVerify } from "../verify/verify.ts";
import { files, openGpu, openSources, print } from "./host.ts";

export interface VerifyOptions {
  dtype: ModelDType;
  json: boolean;
  adapter?: string;
}

/** `pith verify PATH...`: comparisons with the reference, or a run's own rollouts drawn again; 1 if any failed. */
export async function verifyCommand(paths: readonly string[], options: VerifyOptions): Promise<number> {
  const runs: string[] = [];
  const cases: string[] = [];
  for (const path of paths) ((await files.exists(`${path}/completions.jsonl`)) ? runs : cases).push(path);
  let failed = 0;
  for (const dir of runs) failed += await replayRun(dir, options);
  if (cases.length > 0 || runs.length === 0) failed += await compareCases(cases, options);
  return failed > 0 ? 1 : 0;
}

/** One line for each comparison with the reference; how many failed. */
async function compareCases(paths: readonly string[], { dtype, json, adapter }: VerifyOptions): Promise<number> {
  const gpu = await openGpu(adapter);
  let total = 0;
  let failed = 0;
  for await (const check of runVerify(gpu, files, paths, { dtype })) {
    total++;
    if (!check.pass) failed++;
    if (json) print(JSON.stringify(check));
    else
      print(
        `${check.pass ? "pass" : "FAIL"}  ${check.name}  error ${check.error.toExponential(2)}  limit ${check.limit.toExponential(1)}`,
      );
  }
  if (!json) print(`${total - failed} passed, ${failed} failed: ${dtype} on ${gpu.name}`);
  return failed;
}

/** One line for each response that was not drawn as it says, and for each iteration; how many there are. */
async function replayRun(dir: string, { json, adapter }: VerifyOptions): Promise<number> {
  const folder = await RunFolder.read(files, dir);
  const sources = await openSources(folder.config);
  const gpu = await openGpu(adapter ?? folder.config.device.adapter);
  let total = 0;
  let failed = 0;
  for await (const { iteration, rollouts, differences } of verifyRun(gpu, files, folder, sources)) {
    total += rollouts.length;
    failed += differences.length;
    for (const { claim, position, what, claimed, drawn } of differences) {
      const { problem_id, index } = rollouts[claim]!;
      const where = { iteration, problem_id, index, position };
      if (json) print(JSON.stringify({ ...where, what, claimed, drawn }));
      else
        print(
          `FAIL  iteration ${iteration}, problem ${problem_id}, response ${index}, token ${position}: ${what} ${claimed}, drawn ${drawn}`,
        );
    }
    if (!json) print(`iteration ${iteration}: ${rollouts.length - differences.length} of ${rollouts.length} responses`);
  }
  if (!json) print(`${total - failed} passed, ${failed} failed: ${dir} replayed on ${gpu.name}`);
  return failed;
}
