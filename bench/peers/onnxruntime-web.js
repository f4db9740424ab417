/** onnxruntime-web in Node: its WebAssembly build with the WebGPU execution provider, on our Dawn. */
import "./dawn.ts";
import * as ort from "onnxruntime-web/webgpu";
import { cases } from "./onnxruntime-node.js";

export async function open() {
  ort.env.wasm.numThreads = 1;
  return { version: ort.env.versions.web, cases: await cases(ort, "webgpu") };
}
