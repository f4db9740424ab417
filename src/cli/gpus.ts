import { spawn } from "node:child_process";
import process from "node:process";
import { UsageError } from "../errors.ts";
import { pciGpus, selectGpu } from "../runtime/pci.ts";
import { INTERRUPTED, interruptSignal, note } from "./host.ts";

/** A worker in a process of its own on each of the GPUs, until all have ended; the first failure's exit code. */
export async function workersOn(gpu: string, fleet: string, run: string | undefined): Promise<number> {
  const addresses = gpu === "all" ? await pciGpus() : [gpu];
  if (addresses.length === 0)
    throw new UsageError("--gpu all: expected GPUs that Linux lists, got none; start pith worker without it");
  const choices = addresses.map(selectGpu);
  const signal = interruptSignal();
  const args = [...process.execArgv, process.argv[1]!, "worker", ...(run === undefined ? [] : ["--run", run])];
  const codes = choices.map((choice, i) => {
    const env = { ...process.env, DRI_PRIME: choice, PITH_FLEET: fleet };
    const child = spawn(process.execPath, args, { env, stdio: "inherit" });
    signal.addEventListener("abort", () => void child.kill("SIGTERM"), { once: true });
    return new Promise<number>((resolve) =>
      child.once("close", (code, killed) => {
        if (!signal.aborted) note(`the worker on ${addresses[i]} ended (${killed ?? `exit code ${code}`})`);
        resolve(code ?? 1);
      }),
    );
  });
  const ended = await Promise.all(codes);
  return ended.find((code) => code !== INTERRUPTED) ?? INTERRUPTED;
}
