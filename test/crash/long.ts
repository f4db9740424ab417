/**
 * SIGKILL at random moments over all jobs, each resume compared to the bit with a run that nothing disturbed.
 *
 *   npm run test:kill [-- KILLS [SEED [JOB ...]]]      prints the figures; 1 if anything differs
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { randomAt } from "../../src/core/rng.ts";
import { JOBS } from "./jobs.ts";
import { contents, killed, undisturbed } from "./kill.ts";

const [wanted = 200, seed = 1] = process.argv.slice(2, 4).map(Number);
const names = process.argv.slice(4);
const jobs = names.length > 0 ? JOBS.filter(({ name }) => names.includes(name)) : JOBS;
const unknown = names.find((name) => !jobs.some((job) => job.name === name));
if (unknown !== undefined)
  throw new Error(`expected one of ${JOBS.map(({ name }) => `"${name}"`).join(", ")}, got "${unknown}"`);
/** Milliseconds before and after each write: a save takes a good part of the time between two. */
const DELAY = 40;
/** Kills of one run. */
const IN_A_ROW = 6;

const folder = mkdtempSync(join(tmpdir(), "pith-kill-"));
let draws = 0;
const random = () => randomAt(seed, draws++, 0);
let differing = 0;
const total = { kills: 0, inSaves: 0 };
for (const [j, job] of jobs.entries()) {
  const whole = join(folder, `${job.name}-whole`);
  const writes = Math.ceil((await undisturbed(job, whole, DELAY)) / 2);
  const expected = JSON.stringify(contents(whole));
  const share = Math.ceil((wanted * (j + 1)) / jobs.length);
  const before = { ...total };
  for (let trial = 0; total.kills < share; trial++) {
    const dir = join(folder, `${job.name}-${trial}`);
    const kills = Math.min(IN_A_ROW, share - total.kills);
    const seen = await killed(job, dir, { kills, writes, delay: DELAY, random });
    total.kills += seen.kills;
    total.inSaves += seen.inSaves;
    if (JSON.stringify(contents(dir)) !== expected) {
      differing++;
      process.stderr.write(`${job.name}: ${dir} differs from ${whole}\n`);
    } else rmSync(dir, { recursive: true });
  }
  console.log(
    `${job.name.padEnd(10)} ${total.kills - before.kills} kills, ${total.inSaves - before.inSaves} of them inside a save`,
  );
}
console.log(`${total.kills} kills, ${total.inSaves} inside a save, ${differing} runs differ (seed ${seed})`);
if (differing === 0) rmSync(folder, { recursive: true });
process.exit(differing > 0 ? 1 : 0);
