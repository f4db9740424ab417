/**
 * Other libraries and Pith on the same adapter in the same run: `npm run bench:peers [-- library ...] [--output FILE.json]`.
 * A process for each library; they take turns at each case, so that what else the machine does falls on all of them. Results are
 * compared before times are.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { writeFileSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { figures } from "../../src/measure/markdown.ts";
import { summarize, type Summary } from "../../src/measure/statistics.ts";
import { CHAIN, type Reply, type Request } from "./library.ts";

interface Peer {
  name: string;
  module: string;
  device?: string;
  /** What it is compared with is the best of those on WebGPU. */
  webgpu: boolean;
  /** It repeats in whole multiples of this many. */
  multiple?: number;
}

const PEERS: readonly Peer[] = [
  { name: "pith", module: "pith.ts", webgpu: true },
  { name: "jax-js", module: "jax.js", device: "webgpu", webgpu: true },
  { name: "tfjs", module: "tfjs.js", webgpu: true },
  { name: "onnxruntime-node", module: "onnxruntime-node.js", webgpu: true, multiple: CHAIN },
  { name: "onnxruntime-web", module: "onnxruntime-web.js", webgpu: true, multiple: CHAIN },
  { name: "gpu.js", module: "gpu-js.js", webgpu: true },
  { name: "jax-js wasm", module: "jax.js", device: "wasm", webgpu: false },
  { name: "pytorch cpu", module: "pytorch.py", device: "cpu", webgpu: false },
  { name: "pytorch cuda", module: "pytorch.py", device: "cuda", webgpu: false },
];
const CASES = ["matmul-512", "matmul-1024", "softmax", "rmsnorm", "train-step"];

const ROUNDS = 9;
/** A run is long against a wait for the device; results of that many repetitions must fit into memory. */
const RUN_MS = 100;
const MAX_REPEATS = 64;
const TIMEOUT_MS = 240_000;
/** Of digests and losses, which add up thousands of f32 results. */
const TOLERANCE = 1e-5;

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

class Worker {
  readonly peer: Peer;
  readonly #process: ChildProcess;
  version = "";
  cases: readonly string[] = [];

  constructor(peer: Peer) {
    this.peer = peer;
    const device = peer.device ? [peer.device] : [];
    const [command, args] = peer.module.endsWith(".py")
      ? [process.env["PYTHON"] ?? "python3", [here(peer.module), ...device]]
      : [
          process.execPath,
          ["--import", here("../../scripts/wgsl-hook.js"), here("worker.ts"), `./${peer.module}`, ...device],
        ];
    // What libraries print is not the table.
    this.#process = spawn(command, args, { stdio: ["ignore", "ignore", "ignore", "ipc"] });
  }

  async open(): Promise<void> {
    const { version = "", cases = [] } = await this.#ask({});
    this.version = version;
    this.cases = cases;
  }

  async check(work: string): Promise<number> {
    return (await this.#ask({ work })).value!;
  }

  /** Milliseconds of one repetition. */
  async run(work: string, repeats: number): Promise<number> {
    return (await this.#ask({ work, repeats })).ms!;
  }

  stop(): void {
    this.#process.removeAllListeners();
    this.#process.kill("SIGKILL");
  }

  #ask(request: Request): Promise<Reply> {
    const child = this.#process;
    return new Promise((resolve, reject) => {
      const settle = (error: string | undefined, reply: Reply = {}) => {
        clearTimeout(timer);
        child.removeAllListeners();
        child.on("error", () => {}); // one that follows the first says nothing new
        if (error === undefined) resolve(reply);
        else reject(new Error(error));
      };
      const timer = setTimeout(() => settle(`no answer within ${TIMEOUT_MS / 1000} s`), TIMEOUT_MS);
      child.once("message", (reply: Reply) => settle(reply.error, reply));
      child.once("error", (error) => settle(error.message));
      child.once("exit", (code, signal) => settle(`ended (${signal ?? `exit code ${code}`})`));
      if (child.connected) child.send(request);
      else settle("ended");
    });
  }
}

interface Result {
  case: string;
  library: string;
  webgpu: boolean;
  version: string;
  /** Milliseconds of one repetition. */
  ms: Summary;
}

const note = (line: string): void => console.error(line);

async function openWorkers(names: readonly string[]): Promise<Worker[]> {
  const opened: Worker[] = [];
  for (const peer of PEERS.filter(({ name }) => names.length === 0 || name === "pith" || names.includes(name))) {
    const worker = new Worker(peer);
    try {
      await worker.open();
      opened.push(worker);
    } catch (error) {
      note(`${peer.name}: left out, ${(error as Error).message.split("\n")[0]}`);
      worker.stop();
    }
  }
  return opened;
}

async function measure(work: string, workers: readonly Worker[]): Promise<Result[]> {
  const ready: { worker: Worker; repeats: number; times: number[] }[] = [];
  let expected: number | undefined;
  for (const worker of workers.filter(({ cases }) => cases.includes(work))) {
    try {
      const value = await worker.check(work);
      expected ??= value; // Pith's, which is the first
      if (!(Math.abs(value - expected) <= TOLERANCE * Math.abs(expected)))
        throw new Error(`its result is ${value}, expected ${expected}`);
      const { multiple = 1 } = worker.peer;
      await worker.run(work, multiple);
      const ms = await worker.run(work, multiple);
      const wanted = Math.ceil(RUN_MS / ms / multiple) * multiple;
      ready.push({ worker, repeats: Math.min(MAX_REPEATS, wanted), times: [] });
    } catch (error) {
      note(`${worker.peer.name}, ${work}: left out, ${(error as Error).message.split("\n")[0]}`);
    }
  }
  for (let round = 0; round < ROUNDS; round++) {
    for (const { worker, repeats, times } of ready) times.push(await worker.run(work, repeats));
  }
  return ready.map(({ worker, times }) => ({
    case: work,
    library: worker.peer.name,
    webgpu: worker.peer.webgpu,
    version: worker.version,
    ms: summarize(times),
  }));
}

function table(results: readonly Result[]): string {
  const libraries = [...new Map(results.map((r) => [r.library, r]))].map(([, r]) => r);
  const lines = [
    `| ms, median (IQR) | ${libraries.map((r) => `${r.library} ${r.version}`).join(" | ")} | speed against the best other on WebGPU |`,
    `| --- |${libraries.map(() => " ---: |").join("")} ---: |`,
  ];
  for (const work of CASES) {
    const row = results.filter((r) => r.case === work);
    if (row.length === 0) continue;
    const cells = libraries.map(({ library }) => {
      const ms = row.find((r) => r.library === library)?.ms;
      return ms ? `${figures(ms.median)} (${figures(ms.iqr)})` : "";
    });
    const best = row.filter((r) => r.webgpu && r.library !== "pith").sort((a, b) => a.ms.median - b.ms.median)[0];
    const ours = row.find((r) => r.library === "pith");
    const ratio = best && ours ? `${(best.ms.median / ours.ms.median).toFixed(2)}x (${best.library})` : "";
    lines.push(`| ${work} | ${cells.join(" | ")} | ${ratio} |`);
  }
  return lines.join("\n");
}

const { values, positionals } = parseArgs({ allowPositionals: true, options: { output: { type: "string" } } });
const workers = await openWorkers(positionals);
const results: Result[] = [];
for (const work of CASES) {
  note(`${work} ...`);
  results.push(...(await measure(work, workers)));
}
for (const worker of workers) worker.stop();
console.log(table(results));
if (values.output) writeFileSync(values.output, `${JSON.stringify({ results }, null, 1)}\n`);
process.exit(0);
