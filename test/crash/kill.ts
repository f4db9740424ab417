import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { Job } from "./jobs.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** What killing a job again and again came to. */
export interface Killed {
  kills: number;
  /** Of them while a checkpoint was being written: its unfinished folder was left behind. */
  inSaves: number;
}

/** A moment of a job: `after` milliseconds past its write number `write`, the first being 0. */
interface Moment {
  write: number;
  after: number;
}

/** Runs a job, until `moment` if there is one; how many writes it began, null if it was killed. */
async function run(job: Job, dir: string, delay: number, moment: Moment | null): Promise<number | null> {
  await mkdir(dir, { recursive: true });
  const env = {
    ...process.env,
    PITH_TEST_DELAY: String(delay),
    ...(job.start ? { PITH_TEST_START: job.start } : {}),
    ...(job.script ? { PITH_TEST_SCRIPT: job.script } : {}),
  };
  const argv = ["--import", "./scripts/wgsl-hook.js", "test/crash/entry.ts", ...job.args(dir)];
  const child = spawn(process.execPath, argv, { cwd: root, env, stdio: ["ignore", "ignore", "pipe", "ipc"] });
  let [said, writes] = ["", 0];
  child.stderr!.setEncoding("utf8").on("data", (text: string) => (said += text));
  child.on("message", () => {
    if (writes++ === moment?.write) setTimeout(() => child.kill("SIGKILL"), moment.after);
  });
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) =>
    child.on("close", (...ended) => resolve(ended)),
  );
  if (signal === "SIGKILL") return null;
  if (code !== 0) throw new Error(`${job.name} in ${dir}: expected it to go on, got exit code ${code}:\n${said}`);
  return writes;
}

/** Runs a job to its end without a kill; the number of its writes. */
export const undisturbed = async (job: Job, dir: string, delay: number): Promise<number> =>
  (await run(job, dir, delay, null))!;

/** Kills a job up to `kills` times, each at a random moment of its next `writes` writes, and then lets it end. */
export async function killed(
  job: Job,
  dir: string,
  { kills, writes, delay, random }: { kills: number; writes: number; delay: number; random: () => number },
): Promise<Killed> {
  const seen: Killed = { kills: 0, inSaves: 0 };
  while (seen.kills < kills) {
    // A write takes two delays; what is computed after it is hit too.
    const moment = { write: Math.floor(random() * writes), after: random() * 4 * delay };
    if ((await run(job, dir, delay, moment)) !== null) return seen;
    seen.kills++;
    if (unfinishedSaves(dir).length > 0) seen.inSaves++;
  }
  await run(job, dir, delay, null);
  return seen;
}

function unfinishedSaves(dir: string): string[] {
  if (!existsSync(dir)) return [];
  return readdirSync(dir, { recursive: true, encoding: "utf8" }).filter((path) => /\.unfinished_step_\d+$/.test(path));
}

/** Measured, and so different in every run, as are facts that are made of them; and pages and TensorBoard's events. */
const TIMES = new Set(["time", "rollout_time", "step_time", "seconds", "facts"]);
/** And a killed process's lock, which the next one that opens the folder takes over: nobody opens a finished run of reproduce. */
const NOT_RESULTS = /(^|\/)(events\.out\.tfevents\.\w+|[\w-]+\.html|lock)$/;

/** SHA-256 of what each result under `dir` says, times left out, by its path. */
export function contents(dir: string): Record<string, string> {
  const entries = readdirSync(dir, { recursive: true, encoding: "utf8" }).sort();
  return Object.fromEntries(
    entries
      .filter((path) => statSync(`${dir}/${path}`).isFile() && !NOT_RESULTS.test(path))
      .map((path) => [
        path,
        createHash("sha256")
          .update(comparable(`${dir}/${path}`, dir))
          .digest("hex"),
      ]),
  );
}

function comparable(path: string, dir: string): Uint8Array | string {
  const bytes = readFileSync(path);
  if (!/\.jsonl?$/.test(path)) return bytes;
  const text = bytes.toString().replaceAll(dir, "");
  return (path.endsWith(".json") ? [text] : text.split("\n"))
    .filter((line) => line !== "")
    .map((line) => JSON.stringify(JSON.parse(line, (key, value: unknown) => (TIMES.has(key) ? undefined : value))))
    .join("\n");
}
