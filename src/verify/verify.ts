import { FormatError } from "../errors.ts";
import type { Gpu } from "../gpu/gpu.ts";
import type { ModelDType } from "../model/model.ts";
import type { Files } from "../runtime/types.ts";
import type { Check } from "./check.ts";
import { verifyAdamw, verifyAttention } from "./pytorch/kernels.ts";
import { verifyModel } from "./pytorch/model.ts";

/**
 * Compares this engine on this adapter with reference computations. A path is a model case (a Hugging Face folder with
 * case.safetensors), a folder of such cases, or adamw.safetensors or attention.safetensors; other files are passed over.
 */
export async function* runVerify(
  gpu: Gpu,
  files: Files,
  paths: readonly string[],
  { dtype }: { dtype: ModelDType },
): AsyncGenerator<Check> {
  let found = 0;
  for (const path of paths) {
    for await (const check of verifyPath(gpu, files, path.replace(/\/+$/, ""), dtype, true)) {
      found++;
      yield check;
    }
  }
  if (found === 0) {
    throw new FormatError(
      `expected a folder with case.safetensors, or a folder of such folders, got ${paths.join(" ") || "nothing"}`,
    );
  }
}

async function* verifyPath(
  gpu: Gpu,
  files: Files,
  path: string,
  dtype: ModelDType,
  descend: boolean,
): AsyncGenerator<Check> {
  const name = path.split("/").at(-1)!;
  if (name === "adamw.safetensors") yield* verifyAdamw(gpu, files, path, dtype);
  else if (name === "attention.safetensors") yield* verifyAttention(gpu, files, path, dtype);
  else if (await files.exists(`${path}/case.safetensors`)) yield* verifyModel(gpu, files, path, name, dtype);
  else if (!(await files.exists(path))) throw new FormatError(`${path}: no such file or folder`);
  else if (descend && !/\.\w+$/.test(name)) {
    for (const entry of await files.list(path)) yield* verifyPath(gpu, files, `${path}/${entry}`, dtype, false);
  }
}
