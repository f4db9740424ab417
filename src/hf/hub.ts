import { PithError } from "../errors.ts";
import type { Files } from "../runtime/types.ts";

/** Whether the name is `owner/name` as on the hub rather than a path. */
const HUB_ID = /^[\w.-]+\/[\w.-]+$/;

/**
 * A model's folder: `name` itself where it is one, otherwise the snapshot of a hub repository, downloaded into the Hugging
 * Face cache (HF_HOME) once.
 */
export async function resolveModelDir(
  files: Files,
  name: string,
  { token }: { token?: string | undefined } = {},
): Promise<string> {
  if (await files.exists(name)) return name;
  if (!HUB_ID.test(name))
    throw new PithError(
      `${name}: expected a model's folder or a hub id such as Qwen/Qwen2.5-0.5B-Instruct, got neither`,
    );
  const { snapshotDownload } = await import("@huggingface/hub");
  try {
    return await snapshotDownload({ repo: name, ...(token ? { accessToken: token } : {}) });
  } catch (error) {
    throw new PithError(
      `${name}: no such folder here, and the download from the hub failed: ${(error as Error).message}`,
      { cause: error },
    );
  }
}
