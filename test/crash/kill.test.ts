import { expect, test } from "vitest";
import { randomAt } from "../../src/core/rng.ts";
import { temporaryFolder } from "../helpers/host.ts";
import { JOBS } from "./jobs.ts";
import { contents, killed, undisturbed } from "./kill.ts";

const folder = temporaryFolder();
const DELAY = 15;

/** Two stand for all here; the long run has every job (long.ts). */
test.each(JOBS.filter(({ name }) => name === "rl" || name === "eval"))(
  "$name, killed at random moments, ends as if nothing had happened",
  async (job) => {
    const writes = await undisturbed(job, `${folder}/${job.name}-whole`, DELAY);
    let draws = 0;
    const random = () => randomAt(7, draws++, 0);
    const dir = `${folder}/${job.name}-killed`;
    const { kills } = await killed(job, dir, { kills: 2, writes: Math.ceil(writes / 2), delay: DELAY, random });
    expect(kills).toBeGreaterThan(0);
    expect(contents(dir)).toEqual(contents(`${folder}/${job.name}-whole`));
  },
);
