import type { ModelDType } from "../model/model.ts";
import { runVerify } from "../verify/verify.ts";
import { files, openGpu, print } from "./host.ts";

/** `pith verify DIR...`: one line for each comparison with the reference; 1 if any failed. */
export async function verifyCommand(
  paths: string[],
  { dtype, json, adapter }: { dtype: ModelDType; json: boolean; adapter?: string },
): Promise<number> {
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
  return failed > 0 ? 1 : 0;
}
