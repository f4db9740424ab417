/** node node.ts FOLDER: trains the model in a Hugging Face folder, such as Pith's own models/reasoner, with Dawn. */
import process from "node:process";
import { nodeFiles, openGpu } from "pith/node";
import { train } from "./train.ts";

await train(await openGpu(), nodeFiles, process.argv[2]!, console.log);
process.exit(0); // Dawn keeps the process alive
