import process from "node:process";
import { expect, test } from "vitest";
import { parseModelConfig, type ModelConfig } from "../../src/model/config.ts";
import { LoraModel } from "../../src/model/lora.ts";
import { stopTokenIds } from "../../src/hf/generation-config.ts";
import { loadTokenizer } from "../../src/hf/tokenizer.ts";
import { planningGpu } from "../../src/gpu/planning-gpu.ts";
import { nodeFiles } from "../../src/runtime/files-node.ts";
import { askingOf, SUMS as ASK_SUMS } from "../../web/session/asking.ts";
import type { Device, Opened } from "../../web/session/device.ts";
import { loadModel, loadTrained, type Trainee } from "../../web/session/models.ts";
import { planTraining } from "../../web/session/plan.ts";
import { Problems } from "../../web/session/problems.ts";
import type { EngineEvent } from "../../web/session/protocol.ts";
import { Runs } from "../../web/session/runs.ts";
import { Training } from "../../web/session/training.ts";
import { BlobFiles } from "../../web/storage/blob-files.ts";
import { OverflowFiles, type Disk } from "../../web/storage/overflow-files.ts";
import { testGpu } from "../helpers/gpu.ts";
import { QUICK, writeTinyModel } from "../helpers/model-folder.ts";
import { tinyConfig } from "../helpers/models.ts";
import { LimitedFiles } from "./limited-files.ts";

const root = new URL("../..", import.meta.url).pathname;
const TINY = "own/tiny";
const WHOLE: Trainee = { name: "tiny", dir: TINY, rank: 0, width: 32, context: QUICK.max_position_embeddings };
const SHAPE = { ...QUICK, num_hidden_layers: 1 };
const CHOICE = { alphas: [0.2], maxIterations: 2, numPrompts: 1, pinned: "1+1=?", task: "sums.jsonl" };
const SUMS = Array.from({ length: 10 }, (_, i) => JSON.stringify({ problem: `${i}+1=?`, answer: String(i + 1) }));

/** The page's training over files of one's own, on this process's adapter, where the tiny model lies on the disk. */
async function session(files: Disk) {
  const gpu = await testGpu();
  const opened = { gpu, lost: false } as unknown as Opened;
  // The page's opens the browser's adapter; this hands out the same from here.
  const device = { load: async () => opened, model: (dir: string) => loadModel(gpu, files, dir) } as unknown as Device;
  const events: EngineEvent[] = [];
  const runs = new Runs(files, (detail) => events.push({ type: "notice", kind: "unreadable", detail }));
  const problems = new Problems(files);
  await problems.restore(() => {});
  problems.askBy(askingOf(await loadTokenizer(files, TINY), WHOLE.context));
  if (!(await files.exists("problems/sums.jsonl"))) await problems.add("sums.jsonl", new Blob([SUMS.join("\n")]));
  let ended: (value?: unknown) => void;
  const end = new Promise((resolve) => (ended = resolve));
  const training = new Training(
    device,
    runs,
    (name, asking) => problems.task(name, asking),
    (event) => {
      events.push(event);
      if (event.type === "training" && ["idle", "paused"].includes(event.training.phase)) ended();
    },
  );
  return { gpu, training, runs, events, end };
}

const notices = (events: readonly EngineEvent[]) =>
  events.flatMap((event) => (event.type === "notice" ? [`${event.kind}: ${event.detail}`] : []));

test.each([0, 4])("a model of one's own trains, is exported and read again: adapters of rank %i", async (rank) => {
  const files = new BlobFiles();
  await writeTinyModel(files, TINY, SHAPE);
  const { gpu, training, runs, events, end } = await session(files);
  await training.start({ ...CHOICE, model: { ...WHOLE, rank } });
  await end;
  expect(notices(events)).toEqual([]);
  const [run] = await runs.list();
  expect(run).toMatchObject({ model: "tiny", iteration: 2, task: "sums.jsonl" });
  expect(run!.scores!.mean_length).toBeGreaterThan(1);
  expect(await runs.base(TINY, "sums.jsonl")).not.toBe(null);
  expect((await runs.view(run!.id, 2)).frames.map(({ step }) => step)).toEqual([0, 1, 2]);

  const exported = runs.model(run!.id);
  const { base } = await loadModel(gpu, files, TINY);
  const trained = await loadTrained(base, files, exported);
  if (rank > 0) {
    expect(await files.list(exported)).toEqual(["adapter_config.json", "adapter_model.safetensors"]);
    const config = JSON.parse(await files.readText(`${exported}/adapter_config.json`)) as object;
    expect(config).toMatchObject({ peft_type: "LORA", r: rank, base_model_name_or_path: "tiny" });
    expect((trained as LoraModel).lora.r).toBe(rank);
  } else {
    const config = parseModelConfig(JSON.parse(await files.readText(`${exported}/config.json`)), "");
    const tokenizer = await loadTokenizer(files, exported);
    expect(await stopTokenIds(files, exported, config, tokenizer)).toContain(256);
  }
  await runs.removeUnused();
  expect(await files.exists(TINY)).toBe(true);
  await runs.remove(run!.id);
  await runs.removeUnused();
  expect(await files.exists(TINY)).toBe(false);
  trained.dispose();
  base.dispose();
});

test("a reset between two runs of a sweep ends the sweep", async () => {
  const files = new BlobFiles();
  await writeTinyModel(files, TINY, SHAPE);
  const { training, runs, events, end } = await session(files);
  await training.start({ ...CHOICE, alphas: [0.1, 0.2, 0.4], maxIterations: 1, model: WHOLE });
  await end;
  expect(training.state).toMatchObject({ phase: "idle", queue: [0.2, 0.4] });
  await training.reset();
  expect(training.state).toMatchObject({ phase: "idle", run: null, queue: [] });
  await training.reset(); // waits for whatever the first left training
  expect(notices(events)).toEqual([]);
  expect((await runs.list()).map(({ alpha, scores }) => [alpha, scores !== null])).toEqual([[0.1, true]]);
});

/** All that a run of one iteration writes, or one in so many of it. */
const EVERY = process.env["PITH_EVERY_WRITE"] ? 1 : 12;

test("a quota exceeded at a write of a run, whichever: the page says so once, the run ends in memory, and the next visit opens well", async () => {
  const disk = async (room: number) => {
    const files = new LimitedFiles(room);
    await writeTinyModel(files, TINY, SHAPE);
    return files;
  };
  const run = async (files: Disk) => {
    const { training, runs, events, end } = await session(files);
    await training.start({ ...CHOICE, maxIterations: 1, model: WHOLE });
    await end;
    expect((await runs.list()).map(({ scores }) => scores !== null)).toEqual([true]);
    expect(notices(events)).toEqual([]);
  };
  const counted = await disk(Infinity);
  const before = counted.writes;
  await run(counted);
  const { writes } = counted;
  expect(writes - before).toBeGreaterThan(20);
  for (let room = before; room < writes; room += EVERY) {
    const limited = await disk(room);
    let said = 0;
    await run(new OverflowFiles(limited, () => said++));
    expect(said, `room for ${room}`).toBe(1);
    const { training, runs, events } = await session(new OverflowFiles(limited, () => {}));
    await training.restore();
    expect(notices(events), `room for ${room}`).toEqual([]);
    const kept = await runs.list();
    expect(training.state.phase).toBe(kept.some(({ scores }) => !scores) ? "paused" : "idle");
  }
});

test("what was trained from the reasoner is asked sums, as it was taught; another model is told to box its answer", async () => {
  const asking = askingOf(await loadTokenizer(nodeFiles, `${root}models/reasoner`), 512);
  expect(asking).toBe(ASK_SUMS);
  const files = new BlobFiles();
  await writeTinyModel(files, TINY, SHAPE);
  const other = askingOf(await loadTokenizer(files, TINY), 192);
  const problem = { id: "", prompt: "7+8=?", answer: "15", difficulty: 1 };
  expect(other.render(problem, await loadTokenizer(files, TINY))).toMatch(/^7\+8=\? .*\\boxed\{\}/);
  expect(other.unfit(problem)).toBe(null);
  expect(other.unfit({ ...problem, prompt: "How many? ".repeat(9) })).toContain("context");
});

test("small models train whole, larger ones by adapters, and those that a tab has no room for not at all", async () => {
  const shape = async (name: string) =>
    parseModelConfig(JSON.parse(await nodeFiles.readText(`${root}configs/shapes/${name}.json`)), name);
  const gpu = planningGpu();
  const plan = (config: ModelConfig, stops = [0]) => planTraining(gpu, config, { name: "x", dir: "own/x" }, stops);
  expect(await plan(tinyConfig())).toMatchObject({ rank: 0 });
  expect(await plan(await shape("deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"))).toMatchObject({ rank: 16 });
  expect(await plan(await shape("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B"))).toHaveProperty("refusal");
  const tight = planTraining(
    gpu,
    tinyConfig({ ...QUICK, vocab_size: 258 }),
    { name: "x", dir: "own/x" },
    [256],
    2 ** 26,
  );
  expect(await tight).toMatchObject({ rank: 16 });
  expect(await plan(tinyConfig(), [])).toEqual({ refusal: expect.stringContaining("a token that ends a response") });
});
