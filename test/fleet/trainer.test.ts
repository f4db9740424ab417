import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findServer, startServer, type Server } from "../../src/fleet/server.ts";
import { temporaryFolder } from "../helpers/host.ts";
import { freePort, Pith, titled } from "./processes.ts";
import { left, train } from "./training.ts";

const folder = temporaryFolder();
const RUN = ["num_prompts=2", "num_generations=4", "max_iterations=4", "max_completion_length=24", "lag=1"];
/** Evaluations, too, are drawn by whoever samples. */
const EVALUATED = ["--train.eval_every=1", "--train.eval_problems=6", "--eval.max_completion_length=24"];

describe.skipIf(findServer() === null)(titled("a trainer of a fleet"), () => {
  let server: Server;
  let worker: Pith;

  beforeAll(async () => {
    server = await startServer(`${folder}/server`, { host: "127.0.0.1", port: await freePort(), note: () => {} });
    worker = new Pith(["worker"], { PITH_FLEET: server.workerUrl, XDG_CACHE_HOME: `${folder}/cache` });
  }, 60_000);

  afterAll(async () => {
    worker?.kill("SIGKILL");
    await server?.stop();
  });

  test("killed and begun again it leaves the files of a run on one device", async () => {
    const alone = train(RUN, `${folder}/alone`, ...EVALUATED);
    expect(await alone.ended).toBe(0);
    const dir = `${folder}/together`;
    const killed = train(RUN, dir, ...EVALUATED, "--fleet", server.url);
    await killed.says(/iteration 2\/4/);
    killed.kill("SIGKILL");
    expect(await killed.ended).toBe(null);
    const resumed = train(RUN, dir, ...EVALUATED, "--fleet", server.url);
    await resumed.ended;
    expect(resumed.said).toMatch(/goes on after iteration [12]/);
    expect(resumed.said).toMatch(/iteration 4\/4 .* tok\/s \| 1 worker(, \d+\.\d% idle)? \| 0s left/);
    expect(left(dir)).toEqual(left(`${folder}/alone`));
    expect(await new Pith(["report", dir]).ended).toBe(0);
    expect(readFileSync(`${dir}/report.html`, "utf8")).toMatch(/Who sampled what[^]*100\.0%/);
    // The worker says so within its next look for a run.
    await expect
      .poll(
        async () => {
          const status = new Pith(["fleet", "status", "--fleet", server.workerUrl]);
          await status.ended;
          return status.said;
        },
        { timeout: 60_000 },
      )
      .toMatch(/no run\nworker \S+ on .*: no run, 0 tasks, \d+ tokens/);
  }, 600_000);
});
