/**
 * Whether adapters over a model of Qwen2.5-0.5B's shape train: all its layers here, two of them in Chromium.
 *
 *   node --import ./scripts/wgsl-hook.js test/browser/real-shape-long.ts [node|chromium]      prints the iterations
 */
import process from "node:process";
import { nodeFiles } from "../../src/runtime/files-node.ts";
import { openGpu } from "../../src/runtime/node.ts";
import { trainShape } from "./real-shape.ts";
import { runInWorker } from "./worker.ts";

const [where] = process.argv.slice(2);
const reasoner = new URL("../../models/reasoner", import.meta.url).pathname;
const print = (what: string, seen: unknown) => process.stdout.write(`${what}: ${JSON.stringify(seen, null, 1)}\n`);
if (where !== "chromium") print("24 layers, here", await trainShape(await openGpu(), nodeFiles, reasoner, 24));
if (where !== "node") print("2 layers, in Chromium", await runInWorker("real-shape-worker.ts"));
process.exit(0);
