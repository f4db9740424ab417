/** deno run -A deno.ts FOLDER: the same on Deno's own WebGPU. */
import process from "node:process";
import { denoFiles, openGpu } from "pith/deno";
import { train } from "./train.ts";

await train(await openGpu(), denoFiles, process.argv[2]!, console.log);
process.exit(0);
