import { execFileSync, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { nodeFiles } from "../../src/runtime/files-node.ts";
import { testGpu } from "../helpers/gpu.ts";
import { CHROMIUM } from "./chromium.ts";
import { tokensOf, type Tokens } from "./tokens.ts";
import { runInWorker } from "./worker.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const REASONER = `${root}models/reasoner`;
const hasDeno = spawnSync("deno", ["--version"]).status === 0;

describe("with one seed and the bundled model", () => {
  let here: Tokens;
  beforeAll(async () => {
    here = await tokensOf(await testGpu(), nodeFiles, REASONER);
    expect(new Set(here.greedy.map(String)).size).toBe(16);
    expect(new Set(here.sampled.map(String)).size).toBeGreaterThan(48);
  });

  // Chromium has a driver of its own, so its samples may differ in a last bit that decides; greedy tokens are further apart.
  test.skipIf(!CHROMIUM)("Chromium's greedy tokens are Node's [skipped where no Chromium is found]", async () => {
    const { greedy } = (await runInWorker("tokens-worker.ts")) as Tokens;
    expect(greedy).toEqual(here.greedy);
  });

  test.skipIf(!hasDeno)("Deno's greedy and sampled tokens are Node's [skipped where deno is not installed]", () => {
    const script = fileURLToPath(new URL("tokens-deno.ts", import.meta.url));
    const stdout = execFileSync("deno", ["run", "-A", script, REASONER], { cwd: root, encoding: "utf8" });
    expect(JSON.parse(stdout)).toEqual(here);
  });
});
