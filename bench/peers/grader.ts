/**
 * The graders beside @cortex-js/compute-engine on labelled pairs: `npm run bench:grader [-- FILE.jsonl ...]`. A line is {pred, ref} or
 * {response, gold} with its label in `right`; the labels of the project's own data, `intended` of raw_pred and raw_ref and `verdict`
 * of pred and gold, are read too. The engine gets answers as strict extracts and tidies them, in a worker that is ended after two
 * seconds on one pair.
 */
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { compareAnswers, grade } from "../../src/grader/grade.ts";
import { extractStrict } from "../../src/grader/strict/extract.ts";
import { tidy } from "../../src/grader/strict/spelling.ts";

interface Pair {
  /** What is compared: two answers, or a response and a gold text. */
  a: string;
  b: string;
  isResponse: boolean;
  right: boolean;
}
interface Outcome {
  verdict: boolean;
  ms: number;
}

const LIMIT_MS = 2000;
const OWN = fileURLToPath(new URL("../../test/grader/pairs.jsonl", import.meta.url));

function pairsOf(file: string): Pair[] {
  return readFileSync(file, "utf8")
    .trim()
    .split("\n")
    .map(
      (line) => JSON.parse(line) as Record<string, string> & { right?: boolean; intended?: boolean; verdict?: boolean },
    )
    .flatMap((row): Pair[] => {
      const right = "intended" in row ? row.intended : (row.right ?? row.verdict);
      if (typeof right !== "boolean") return [];
      if (row["gold"] !== undefined)
        return [{ a: row["response"] ?? row["pred"]!, b: row["gold"], isResponse: true, right }];
      return [{ a: row["raw_pred"] ?? row["pred"]!, b: row["raw_ref"] ?? row["ref"]!, isResponse: false, right }];
    });
}

function timed(grader: "strict" | "qwen2.5-math", { a, b, isResponse }: Pair): Outcome {
  const start = performance.now();
  const { verdict } = isResponse ? grade(a, b, { grader }) : compareAnswers(a, b, grader);
  return { verdict, ms: performance.now() - start };
}

class Engine {
  #worker: Worker | null = null;
  hangs = 0;

  async equal(a: string, b: string): Promise<Outcome> {
    this.#worker ??= await this.#start();
    const worker = this.#worker;
    return new Promise((resolve, reject) => {
      const limit = setTimeout(() => {
        worker.removeAllListeners();
        this.hangs++;
        this.#worker = null;
        void worker.terminate().then(() => resolve({ verdict: false, ms: LIMIT_MS }), reject);
      }, LIMIT_MS);
      worker.once("message", (outcome: Outcome) => {
        clearTimeout(limit);
        resolve(outcome);
      });
      worker.postMessage([a, b]);
    });
  }

  #start(): Promise<Worker> {
    const worker = new Worker(new URL("compute-engine.js", import.meta.url));
    return new Promise((resolve, reject) => {
      worker.once("message", () => resolve(worker));
      worker.once("error", reject);
    });
  }

  async close(): Promise<void> {
    await this.#worker?.terminate();
  }
}

function row(name: string, pairs: readonly Pair[], outcomes: readonly Outcome[]): string {
  const right = outcomes.filter(({ verdict }, i) => verdict === pairs[i]!.right).length;
  const falsely = outcomes.filter(({ verdict }, i) => verdict && !pairs[i]!.right).length;
  const times = outcomes.map(({ ms }) => ms);
  const mean = times.reduce((sum, ms) => sum + ms, 0) / times.length;
  return `| ${name} | ${right} (${((100 * right) / pairs.length).toFixed(1)}%) | ${falsely} | ${mean.toFixed(2)} | ${Math.max(...times).toFixed(0)} |`;
}

const files = process.argv.slice(2);
const engine = new Engine();
for (const file of files.length > 0 ? files : [OWN]) {
  const pairs = pairsOf(file);
  // The second round is the one that counts: what is compiled when first used is compiled.
  let [strict, qwen, others]: [Outcome[], Outcome[], Outcome[]] = [[], [], []];
  let hangs = 0;
  for (let round = 0; round < 2; round++) {
    strict = pairs.map((pair) => timed("strict", pair));
    qwen = pairs.map((pair) => timed("qwen2.5-math", pair));
    hangs = engine.hangs;
    others = [];
    for (const { a, b, isResponse } of pairs) {
      const [x, y] = isResponse ? [extractStrict(a), extractStrict(b) || b] : [a, b];
      others.push(x.trim() === "" ? { verdict: false, ms: 0 } : await engine.equal(tidy(x), tidy(y)));
    }
    hangs = engine.hangs - hangs;
  }
  const only = pairs.filter(({ right }, i) => others[i]!.verdict === right && strict[i]!.verdict !== right);
  console.log(
    `\n${basename(file)}: ${pairs.length} pairs, ${pairs.filter(({ right }) => right).length} of them equal\n`,
  );
  console.log("| | right | falsely equal | mean ms | slowest ms |\n| --- | --- | --- | --- | --- |");
  console.log(row("strict", pairs, strict));
  console.log(row("qwen2.5-math", pairs, qwen));
  console.log(row("compute-engine", pairs, others));
  console.log(
    `\nThe engine ended ${hangs} times at its limit; it alone is right, and strict is not, on ${only.length}.`,
  );
  for (const { a, b, right } of only)
    console.log(`  ${right ? "equal" : "different"}: ${JSON.stringify([a.slice(-80), b.slice(-80)])}`);
}
await engine.close();
