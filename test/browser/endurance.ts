/**
 * Training in a tab for minutes: whether the heaps of the page and its worker or the device's buffers grow, whether a task on the main
 * thread blocks it, and what an update of the charts takes at 500 iterations.
 *
 * They are those of a machine that does nothing else: what interrupts the main thread counts as its own. Before Start that is the browser
 * itself, whose processes are beginning too: of the tasks that open the page, what the thread ran is held against the limit.
 *
 *   node --import ./scripts/wgsl-hook.js test/browser/endurance.ts [MINUTES]      prints the figures; 1 if one is above its limit
 */
import process from "node:process";
import type { CDPSession, Page } from "playwright";
import { openTab, serveBuilt } from "./browser.ts";
import { openBench } from "./charts-page.ts";
import { pageHeap, watchWorker, type Heap } from "./heap.ts";
import { choose, opened, press, statusOf } from "./training.ts";

const MINUTES = Number(process.argv[2] ?? 10);
/** Minutes after which nothing grows any more. */
const SETTLED = 2;
/**
 * Share by which what a heap holds may be larger than when it had settled, the code that the browser compiled left out: it goes on
 * compiling what runs often. The page keeps what it draws of an iteration, about a kilobyte.
 */
const MOST_GROWTH = 0.015;
/** Milliseconds of a task on the main thread, and of an update of a chart. */
const MOST_TASK = 100;
const MOST_UPDATE = 8;

interface Sample {
  minute: number;
  iteration: number;
  page: Heap;
  worker: Heap;
  buffers: { count: number; bytes: number };
}

const say = (line: string) => process.stdout.write(`${line}\n`);
const failures: string[] = [];
const limit = (what: string, value: number, most: number) => {
  say(`${what}: ${value.toFixed(3)}, at most ${most}`);
  if (!(value <= most)) failures.push(what);
};
const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;

await charts();
await training();
if (failures.length > 0) say(`above their limits: ${failures.join(", ")}`);
process.exitCode = failures.length > 0 ? 1 : 0;

async function charts(): Promise<void> {
  const { page, close } = await openBench();
  for (const width of [330, 1000]) {
    const rounds: number[][] = [];
    for (let round = 0; round < 5; round++)
      rounds.push(await page.evaluate((wide) => bench.time("curves", wide, 60), width));
    const times = rounds[0]!.map((_, i) => Math.min(...rounds.map((round) => round[i]!)));
    // Of the first ones the compiler's work is a part; of each the quickest of five is what it takes where nothing interrupts it.
    const settled = times.slice(10);
    limit(`median update of a curve of 500 iterations, ${width} pixels wide, ms`, median(settled), MOST_UPDATE);
    limit(`longest update of it, ms`, Math.max(...settled), MOST_UPDATE);
  }
  await close();
}

async function training(): Promise<void> {
  const site = await serveBuilt();
  const { context, page, troubles } = await openTab(site);
  const devtools = await context.newCDPSession(page);
  const trace = await traceTasks(devtools, page);
  const workerHeap = watchWorker(devtools);
  await page.goto(site.url);
  await opened(page);
  await choose(page, 500);
  const opening = await trace();
  await press(page, "Start");
  const begin = performance.now();
  const samples: Sample[] = [];
  const tasks: Task[] = [];
  for (let minute = 1; minute <= MINUTES; minute++) {
    await page.waitForTimeout(begin + 60_000 * minute - performance.now());
    tasks.push(...(await trace()));
    // Read in one and the same state: in the midst of sampling a heap holds what is under way.
    await press(page, "Pause");
    await statusOf(page, /Paused/);
    const one = await sample(page, minute, { page: () => pageHeap(devtools), worker: await workerHeap });
    samples.push(one);
    await press(page, "Resume");
    await statusOf(page, /Training/);
    // What it takes to look is no task of the page's.
    await trace();
    const { iteration, buffers } = one;
    say(
      `minute ${minute}, iteration ${iteration}: page ${both(one.page)}, worker ${both(one.worker)}, ${buffers.count} buffers of ${megabytes(buffers.bytes)}`,
    );
  }
  // A sample may fall on a moment that holds more: each end is the median of three.
  const growth = (of: (sample: Sample) => number) => {
    const after = samples.filter(({ minute }) => minute >= SETTLED);
    return median(after.slice(-3).map(of)) / median(after.slice(0, 3).map(of));
  };
  for (const part of ["page", "worker"] as const)
    limit(
      `what the heap of the ${part} holds over what it was after ${SETTLED} minutes`,
      growth((s) => s[part].data),
      1 + MOST_GROWTH,
    );
  limit(
    "bytes of buffers over what they were then",
    growth((s) => s.buffers.bytes),
    1.001,
  );
  limit("longest task on the main thread in training, ms", Math.max(...tasks.map(({ took }) => took)), MOST_TASK);
  limit("longest of opening the page, ms that the thread ran", Math.max(...opening.map(({ ran }) => ran)), MOST_TASK);
  say(`(with what ran in between, ms: ${Math.max(...opening.map(({ took }) => took)).toFixed(1)})`);
  if (troubles.length > 0) failures.push(...troubles);
  await context.close();
  site.close();
}

/** Milliseconds from a task's begin to its end, and those of them in which the thread ran. */
interface Task {
  took: number;
  ran: number;
}

/** Records the page's main thread; gives the tasks since it was asked last. */
async function traceTasks(devtools: CDPSession, page: Page): Promise<() => Promise<Task[]>> {
  interface Event {
    name: string;
    pid: number;
    tid: number;
    /** Microseconds, by the clock and of the thread. */
    dur?: number;
    tdur?: number;
  }
  let events: Event[] = [];
  devtools.on("Tracing.dataCollected", ({ value }) => events.push(...(value as unknown as Event[])));
  const start = () =>
    devtools.send("Tracing.start", {
      transferMode: "ReportEvents",
      traceConfig: { includedCategories: ["blink.user_timing", "disabled-by-default-devtools.timeline"] },
    });
  await start();
  return async () => {
    // The browser's own pages have main threads too: this one's says so.
    await page.evaluate(() => performance.mark("the page"));
    const complete = new Promise((resolve) => devtools.once("Tracing.tracingComplete", resolve));
    await devtools.send("Tracing.end");
    await complete;
    const thread = ({ pid, tid }: Event) => `${pid} ${tid}`;
    const ours = thread(events.find(({ name }) => name === "the page")!);
    const tasks = events
      .filter((event) => event.name === "RunTask" && thread(event) === ours)
      .map(({ dur = 0, tdur = 0 }) => ({ took: dur / 1000, ran: tdur / 1000 }));
    events = [];
    await start();
    return tasks;
  };
}

async function sample(
  page: Page,
  minute: number,
  heaps: Record<"page" | "worker", () => Promise<Heap>>,
): Promise<Sample> {
  const buffers = await page
    .workers()[0]!
    .evaluate(() => (globalThis as unknown as { buffers: Sample["buffers"] }).buffers);
  const iteration = Number(/iteration (\d+)/.exec(await page.locator(".progress .status").innerText())![1]);
  return { minute, iteration, page: await heaps.page(), worker: await heaps.worker(), buffers };
}

function both({ data, code }: Heap): string {
  return `${megabytes(data)} and ${megabytes(code)} of code`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(2)} MB`;
}
