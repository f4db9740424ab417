/**
 * The command line on a slow disk: what writes waits before and after, PITH_TEST_DELAY milliseconds each, so that a kill finds it
 * in the middle. It tells the process that started it of each. PITH_TEST_START is settings that take the place of
 * configs/start.toml's, for commands that take none, and PITH_TEST_SCRIPT what is run in the place of the command line.
 */
import process from "node:process";
import { setTimeout } from "node:timers/promises";
import { nodeFiles } from "../../src/runtime/files-node.ts";

const delay = Number(process.env["PITH_TEST_DELAY"] ?? 0);

function slow<K extends "write" | "append" | "truncate" | "mkdir" | "rename" | "remove">(name: K): void {
  const quick = nodeFiles[name] as (...args: unknown[]) => Promise<void>;
  nodeFiles[name] = (async (...args: unknown[]) => {
    process.send?.("writes");
    await setTimeout(delay);
    await quick(...args);
    await setTimeout(delay);
  }) as (typeof nodeFiles)[K];
}

process.channel?.unref();
if (delay > 0) for (const name of ["write", "append", "truncate", "mkdir", "rename", "remove"] as const) slow(name);

const start = process.env["PITH_TEST_START"];
if (start !== undefined) {
  const { readText } = nodeFiles;
  nodeFiles.readText = async (path) => (path.endsWith("configs/start.toml") ? start : readText(path));
}

await import(process.env["PITH_TEST_SCRIPT"] ?? "../../src/cli/main.ts");
