import { spawn } from "node:child_process";
import process from "node:process";

const root = new URL("../..", import.meta.url).pathname;

export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs a script of the checkout; sends it `signal` when what it prints first matches `at`. */
export function runScript(
  script: string,
  args: readonly string[],
  at?: RegExp,
  signal: NodeJS.Signals = "SIGINT",
): Promise<Ended> {
  const argv = ["--import", "./scripts/wgsl-hook.js", script, ...args];
  return new Promise((resolve) => {
    const child = spawn(process.execPath, argv, { cwd: root });
    const printed = { stdout: "", stderr: "" };
    let waiting = at !== undefined;
    for (const name of ["stdout", "stderr"] as const) {
      child[name].setEncoding("utf8").on("data", (text: string) => {
        printed[name] += text;
        if (!waiting || !at!.test(printed[name])) return;
        waiting = false;
        child.kill(signal);
      });
    }
    child.on("close", (code) => resolve({ code, ...printed }));
  });
}
