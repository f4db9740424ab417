/** A worker with @cortex-js/compute-engine: answers pairs of formulas in LaTeX with whether it takes them for equal. */
import { ComputeEngine } from "@cortex-js/compute-engine";
import { parentPort } from "node:worker_threads";

const engine = new ComputeEngine();

/** By its own test, or because their difference becomes nothing. */
function equal(a, b) {
  const [x, y] = [engine.parse(a), engine.parse(b)];
  if (!x.isValid || !y.isValid) return false;
  if (x.isSame(y) || x.isEqual(y) === true) return true;
  const difference = engine.box(["Subtract", x, y]);
  return difference.simplify().is(0) || engine.box(["Expand", difference]).evaluate().is(0);
}

parentPort.on("message", ([a, b]) => {
  const start = performance.now();
  let verdict = false;
  try {
    verdict = equal(a, b);
  } catch {
    // An engine that throws has not found them equal.
  }
  parentPort.postMessage({ verdict, ms: performance.now() - start });
});
equal("x", "x");
parentPort.postMessage("ready");
