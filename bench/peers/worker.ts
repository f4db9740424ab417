/** A process with one library: `worker.ts <module> [device]`. Answers the requests of compare.ts, one at a time. */
import process from "node:process";
import type { Library, Open, Reply, Request } from "./library.ts";

const LONGEST_NAP_MS = 0.25;
const cell = new Int32Array(new SharedArrayBuffer(4));

/**
 * Waits as Pith does (src/runtime/node.ts): Dawn's binding asks for news at every turn of the event loop, which would take a core
 * from a software adapter. Without it the libraries that run on Dawn would be measured slower than they are.
 */
async function napping<T>(work: Promise<T>): Promise<T> {
  const start = performance.now();
  let settled = false;
  const nap = () => {
    if (settled) return;
    Atomics.wait(cell, 0, 0, Math.min(LONGEST_NAP_MS, (performance.now() - start) / 8));
    setImmediate(nap);
  };
  setImmediate(nap);
  try {
    return await work;
  } finally {
    settled = true;
  }
}

async function reply(library: Library, { work, repeats }: Request): Promise<Reply> {
  if (!work) return { version: library.version, cases: Object.keys(library.cases) };
  if (!repeats) return { value: await napping(library.cases[work]!.check()) };
  const start = performance.now();
  await napping(library.cases[work]!.run(repeats));
  return { ms: (performance.now() - start) / repeats };
}

const [module, device] = process.argv.slice(2);
let library: Library | undefined;
process.on("message", (request: Request) => {
  void (async () => {
    library ??= await ((await import(module!)) as { open: Open }).open(device);
    return reply(library, request);
  })()
    .catch((error: unknown) => ({ error: error instanceof Error ? error.message : String(error) }))
    .then((answer) => process.send!(answer));
});
// A native driver's threads may keep the process from ending by itself.
process.on("disconnect", () => process.exit(0));
