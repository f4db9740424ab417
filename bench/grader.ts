/**
 * Both graders on hostile texts: slowest verdicts and peak memory. `node bench/grader.ts 100000`; absolute times hold for one
 * machine only.
 */
import fc from "fast-check";
import { grade, GRADERS } from "../src/grader/grade.ts";
import { hostileText } from "../test/helpers/hostile.ts";

const runs = Number(process.argv[2] ?? 10_000);
for (const grader of GRADERS) {
  const times: number[] = [];
  let peak = 0;
  let slowest = { time: 0, text: "" };
  fc.assert(
    fc.property(hostileText, hostileText, (a, b) => {
      const start = performance.now();
      grade(a, b, { grader });
      const time = performance.now() - start;
      times.push(time);
      if (time > slowest.time)
        slowest = { time, text: `${a.slice(0, 60)} (${a.length}) | ${b.slice(0, 60)} (${b.length})` };
      if (times.length % 100 === 0) peak = Math.max(peak, process.memoryUsage().rss);
    }),
    { numRuns: runs, seed: 7 },
  );
  times.sort((x, y) => x - y);
  const at = (share: number) => times[Math.min(times.length - 1, Math.floor(share * times.length))]!.toFixed(2);
  console.log(
    `${grader}: ${runs} pairs, no throw; median ${at(0.5)} ms, 99.9% ${at(0.999)} ms, slowest ${at(1)} ms; peak memory ${(peak / 2 ** 20).toFixed(0)} MiB`,
  );
  console.log(`  slowest: ${JSON.stringify(slowest.text)}`);
}
