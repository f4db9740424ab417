import { execFile, execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const disk = mkdtempSync(join(tmpdir(), "pith-disk-"));

const mount = (...args: string[]): boolean => {
  try {
    execFileSync("mount", args, { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
};
const canMount = mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", disk);
afterAll(() => {
  if (canMount) execFileSync("umount", [disk]);
  rmSync(disk, { recursive: true, force: true });
});

/** A command's exit code and what it says, without Dawn's warnings about limits. */
function pith(
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<{ code: number; lines: string[] }> {
  const argv = ["--import", "./scripts/wgsl-hook.js", "src/cli/main.ts", ...args];
  return new Promise((resolve) => {
    execFile(process.execPath, argv, { cwd: root, env }, (error, _, stderr) => {
      const lines = stderr.split("\n").filter((line) => line !== "" && !line.startsWith("Warning: max"));
      resolve({ code: error ? Number(error.code) : 0, lines });
    });
  });
}

const train = (dir: string, iterations = 1) =>
  Object.entries({
    "rl.num_prompts": 1,
    "rl.num_generations": 2,
    "rl.max_completion_length": 24,
    "rl.max_iterations": iterations,
    "train.save_every": 1,
    "train.output_dir": dir,
  }).flatMap(([key, value]) => [`--${key}`, `${value}`]);

describe.skipIf(!canMount)("a disk [skipped where no file system may be mounted]", () => {
  test("that is full is said in one line; the last checkpoint is good, and the run goes on where there is room", async () => {
    const dir = join(disk, "run");
    mount("-o", "remount,size=5m", disk); // a checkpoint has 2.3 MB, and its model is saved beside it
    const full = await pith(["train", ...train(dir, 4)]);
    expect(full.code).toBe(1);
    expect(full.lines.at(-1)).toMatch(
      /^pith: no checkpoint of step \d: .*no space left on the disk.*the last good one is .*step_\d+$/,
    );
    const saved = readdirSync(join(dir, "checkpoints")).filter((name) => /^step_\d+$/.test(name));
    expect(saved.length).toBeGreaterThan(0);
    mount("-o", "remount,size=40m", disk);
    const { code, lines } = await pith(["train", ...train(dir, 4)]);
    expect(code).toBe(0);
    expect(lines.join("\n")).toContain(`goes on after iteration ${saved.length}`);
    rmSync(dir, { recursive: true });
  });

  test("that is read-only is said in one line", async () => {
    mkdirSync(join(disk, "there"), { recursive: true });
    mount("-o", "remount,ro", disk);
    const [made, present] = await Promise.all([
      pith(["train", ...train(join(disk, "new"))]),
      pith(["train", ...train(join(disk, "there"))]),
    ]);
    for (const { code, lines } of [made, present]) {
      expect(code).toBe(1);
      expect(lines.at(-1)).toMatch(/^pith: cannot .*: the disk is read-only: choose a folder on another$/);
      expect(lines.filter((line) => /^\s+at /.test(line))).toEqual([]);
    }
    expect(existsSync(join(disk, "new"))).toBe(false);
  });
});

test("without a home a command works, and one that asks a hub that is away says so in one line", async () => {
  const { code, lines } = await pith(["train", "--dry-run"], {});
  expect([code, lines.filter((line) => line.startsWith("pith:"))]).toEqual([0, []]);
  const hub = await pith(["generate", "owner/model", "--prompt", "x"], { HOME: "", HF_ENDPOINT: "http://127.0.0.1:9" });
  expect(hub.code).toBe(1);
  expect(hub.lines.at(-1)).toMatch(
    /^pith: owner\/model: no such folder here, and the Hugging Face hub cannot be reached/,
  );
});
