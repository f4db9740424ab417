import process from "node:process";
import type { Reporter, TestModule } from "vitest/node";
import type { FuzzFigures } from "./fuzz.ts";

/** Prints what the fuzzers measured, after the last of them. */
export default class FuzzReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const all = modules.flatMap((module) =>
      [...module.children.allTests()].flatMap((test) => (test.meta() as { fuzz?: FuzzFigures }).fuzz ?? []),
    );
    for (const { kind, inputs, refused, slowestMs, slowest, peakRss } of all) {
      process.stdout.write(
        `${kind.padEnd(12)} ${inputs} inputs, ${refused} refused; slowest ${slowestMs.toFixed(0)} ms of CPU (input ${slowest}); peak ${peakRss.toFixed(0)} MiB\n`,
      );
    }
    process.stdout.write(`${all.reduce((sum, { inputs }) => sum + inputs, 0)} inputs in all\n`);
  }
}
