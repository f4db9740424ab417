import { proxy, wrap } from "comlink";
import type { KernelResult } from "../src/doctor/self-test.ts";
import type { Engine } from "./worker.ts";

const status = document.querySelector("#adapter")!;
const results = document.querySelector("#results")!;
const engine = wrap<Engine>(new Worker(new URL("./worker.ts", import.meta.url), { type: "module" }));

let passed = 0;
let failed = 0;
function show({ kernel, error, limit, pass }: KernelResult): void {
  if (pass) passed++;
  else failed++;
  const row = document.createElement("tr");
  for (const text of [kernel, error.toExponential(1), limit.toExponential(1), pass ? "✓ pass" : "✗ fail"]) {
    row.append(Object.assign(document.createElement("td"), { textContent: text }));
  }
  results.append(row);
}

try {
  const adapter = await engine.selfTest(proxy(show));
  status.textContent = `${passed} passed, ${failed} failed on ${adapter}`;
} catch (error) {
  status.textContent = (error as Error).message;
}
