import { FormatError } from "../../errors.ts";
import type { Files } from "../../runtime/types.ts";
import type { WeightFile } from "../announcement.ts";
import type { FetchVersion } from "../worker-policy.ts";

/** Times that a file is fetched before it is believed to be wrong at the source. */
const TRIES = 3;

/** Fetches a version's files from the gate at `origin`, by their hashes. */
export const fetchFromGate =
  (origin: string, files: Files): FetchVersion =>
  async (_run, { weights, files: listed }) => {
    const dir = `lent/${weights}`;
    for (const file of listed) {
      const path = `${dir}/${file.name}`;
      if (!(await files.exists(path))) await files.write(path, await fetchFile(origin, file));
    }
    return dir;
  };

/** @throws FormatError where it stays other than announced */
async function fetchFile(origin: string, { name, bytes, sha256 }: WeightFile): Promise<Uint8Array> {
  let got = "";
  for (let tries = 0; tries < TRIES; tries++) {
    const response = await fetch(`${origin}/weights/${sha256}`);
    if (response.ok) {
      const data = new Uint8Array(await response.arrayBuffer());
      const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", data));
      const hex = Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
      if (hex === sha256 && data.length === bytes) return data;
      got = `${data.length} bytes of SHA-256 ${hex}`;
    } else got = `status ${response.status}`;
  }
  throw new FormatError(`${name}: expected ${bytes} bytes of SHA-256 ${sha256} from the gate, got ${got}`);
}
