/**
 * Runs by a fleet in which everything dies: at random moments of each run two workers are killed, one is stopped past the wait for its
 * word and goes on, one's link is cut for 20 s, the server is killed, and the trainer is killed and begun again. What a run leaves is
 * compared to the bit with that of one device.
 *
 *   npm run test:chaos [-- RUNS [SEED]]      a line a run, the figures; 1 if anything differs or hangs
 */
import { AckPolicy } from "@nats-io/jetstream";
import { nanos } from "@nats-io/transport-node";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { runName } from "../../src/cli/fleet.ts";
import { randomAt } from "../../src/core/rng.ts";
import { joinFleet, taskConsumer, type Fleet } from "../../src/fleet/connection.ts";
import { startServer } from "../../src/fleet/server.ts";
import { openNetwork } from "./network.ts";
import { freePort, Pith } from "./processes.ts";
import { left, train } from "./training.ts";

const [wanted = 20, seed = 1] = process.argv.slice(2).map(Number);
const RUN = ["num_prompts=2", "num_generations=4", "max_iterations=24", "max_completion_length=96", "lag=1"];
/** Milliseconds after which a task is another worker's, that a worker is stopped for, and that its link is cut. */
const ACK_WAIT = 5000;
const STOP = 9000;
const CUT = 20_000;
/** In which the disturbances begin. */
const WITHIN = 25_000;
/** After which a run hangs. */
const PATIENCE = 600_000;

const folder = mkdtempSync(join(tmpdir(), "pith-chaos-"));
let draws = 0;
const random = () => randomAt(seed, draws++, 0);
const say = (line: string) => process.stdout.write(`${line}\n`);

const network = openNetwork();
if (!network) say("no network namespaces here (they want root): no link is cut");
const port = await freePort();
const server = await startServer(`${folder}/server`, { host: "0.0.0.0", port, note: () => {} });
const fleet = await joinFleet(`${server.url.replace("0.0.0.0", "127.0.0.1")}`, "chaos");
const workerUrl = server.workerUrl.replace("0.0.0.0", "127.0.0.1");
let started = 0;
const addWorker = (url = workerUrl, within: readonly string[] = []) =>
  new Pith(["worker"], { PITH_FLEET: url, XDG_CACHE_HOME: `${folder}/cache-${started++}` }, within);

const alone = train(RUN, `${folder}/alone`);
if ((await alone.ended) !== 0) throw new Error(alone.said);
const expected = JSON.stringify(left(`${folder}/alone`));

/** Of the file's rows together. */
function sumOf(dir: string, metric: string): number {
  const path = `${dir}/metrics.jsonl`;
  const rows = existsSync(path) ? readFileSync(path, "utf8").trimEnd().split("\n") : [];
  return rows.reduce((sum, row) => sum + Number((JSON.parse(row) as Record<string, number>)[metric] ?? 0), 0);
}

async function inWork({ jsm }: Fleet, run: string): Promise<void> {
  while (((await taskConsumer({ jsm }, run))?.num_ack_pending ?? 0) === 0) await sleep(20);
}

/** Workers that run on from run to run, and one behind a link. */
const near = [addWorker(), addWorker(), addWorker()];
const far = network && addWorker(workerUrl.replace("127.0.0.1", network.host), network.within);

const totals = { equal: 0, different: 0, hung: 0, early: 0 };
for (let trial = 1; trial <= wanted; trial++) {
  const dir = `${folder}/run-${trial}`;
  const run = runName(dir);
  await fleet.jsm.consumers.add("TASKS", {
    durable_name: `workers-${run}`,
    filter_subject: `tasks.${run}`,
    ack_policy: AckPolicy.Explicit,
    ack_wait: nanos(ACK_WAIT),
    max_deliver: 5,
    max_ack_pending: -1,
  });
  const [first, second, third] = near as [Pith, Pith, Pith];
  const begun = performance.now();
  const begin = () => train(RUN, dir, "--fleet", server.url.replace("0.0.0.0", "127.0.0.1"));
  let trainer = begin();
  let ended = false;
  let early = 0;
  const disturbances: (() => Promise<void>)[] = [
    ...[first, second].map((worker) => async () => {
      worker.kill("SIGKILL");
      await sleep(2000);
      near.splice(near.indexOf(worker), 1);
      near.push(addWorker()); // the one that was stopped is killed the next time
    }),
    async () => {
      third.kill("SIGSTOP");
      await sleep(STOP);
      third.kill("SIGCONT");
    },
    async () => void process.kill(server.pid(), "SIGKILL"),
    async () => {
      const before = trainer;
      before.kill("SIGKILL");
      await before.ended;
      trainer = begin();
    },
    ...(network
      ? [
          async () => {
            network.cut();
            await sleep(CUT);
            network.mend();
          },
        ]
      : []),
  ];
  const disturb = async () => {
    await inWork(fleet, run);
    const each = disturbances.map(async (disturbance) => {
      await sleep(WITHIN * random());
      if (ended) early++;
      else await disturbance();
    });
    await Promise.all(each);
  };
  const finish = async () => {
    for (let last: Pith | null = null; last !== trainer;) {
      last = trainer;
      await last.ended;
      await sleep(100); // a killed one is followed by another
    }
    ended = true;
  };
  const hangs = sleep(PATIENCE, "hung" as const, { ref: false });
  const disturbed = disturb();
  const how = await Promise.race([finish(), hangs]);
  await Promise.race([disturbed, hangs]);
  trainer.kill("SIGKILL");
  const seconds = ((performance.now() - begun) / 1000).toFixed(0);
  const code = how === "hung" ? null : await trainer.ended;
  const same = code === 0 && JSON.stringify(left(dir)) === expected;
  totals.early += early;
  totals[how === "hung" ? "hung" : same ? "equal" : "different"]++;
  say(
    `run ${trial}: ${how ?? (same ? "equal" : `DIFFERENT, exit code ${code}`)}, ${seconds} s, ${disturbances.length - early} disturbances, ` +
      `${sumOf(dir, "fleet/duplicates")} duplicates, ${sumOf(dir, "fleet/requeued")} requeued, ${sumOf(dir, "fleet/refused")} refused`,
  );
  if (!same) say(`${trainer.said.slice(-2000)}\n  what is left is in ${dir}`);
  else rmSync(dir, { recursive: true });
}
say(
  `${totals.equal} of ${wanted} runs equal to the bit, ${totals.different} different, ${totals.hung} hung; ${totals.early} disturbances came after their run's end (seed ${seed})`,
);
for (const worker of [...near, ...(far ? [far] : [])]) worker.kill("SIGKILL");
await fleet.nc.close();
await server.stop();
network?.remove();
const failed = totals.different + totals.hung > 0;
if (!failed) rmSync(folder, { recursive: true });
process.exit(failed ? 1 : 0);
