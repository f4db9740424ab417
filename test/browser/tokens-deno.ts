/** deno run -A tokens-deno.ts FOLDER: prints the tokens as JSON. */
import process from "node:process";
import { nodeFiles } from "../../src/runtime/files-node.ts";
import { openGpu } from "../../src/runtime/web.ts";
import { tokensOf } from "./tokens.ts";

process.stdout.write(JSON.stringify(await tokensOf(await openGpu(), nodeFiles, process.argv[2]!)));
