import { expect, test } from "vitest";
import { parseConfig, type Config } from "../../src/run/config.ts";
import { planMemory } from "../../src/train/memory-plan.ts";
import { adamwOptions, plannedOptions, rlOptions } from "../../src/train/options.ts";
import { proposeSettings } from "../../src/train/propose.ts";
import { tinyConfig } from "../helpers/models.ts";

const shape = tinyConfig({
  vocab_size: 20_000,
  hidden_size: 256,
  intermediate_size: 1024,
  max_position_embeddings: 4096,
});
const config = parseConfig({
  engine: { max_model_len: 4096, kv_cache_bytes: 2 ** 27 },
  rl: { max_completion_length: 4000, num_prompts: 2, num_generations: 4 },
  train: { tokens_per_micro_batch: 8192 },
});

const plan = async (some: Config): Promise<number> =>
  (await planMemory(shape, some.model.dtype, rlOptions(some), adamwOptions(some), plannedOptions(some))).total;

const propose = (available: number) => proposeSettings(config, available, plan);

function withSetting(some: Config, key: string, value: unknown): Config {
  const [section, name] = key.split(".") as [keyof Config, string];
  return parseConfig({ ...some, [section]: { ...(some[section] as object), [name]: value } });
}

test("what fits as it is needs nothing", async () => {
  const total = await plan(config);
  expect(await propose(total)).toEqual({ settings: {}, total });
});

test("the cheapest of what fits: running layers again, then the optimizer's state in host memory", async () => {
  const recomputed = parseConfig({ ...config, model: { ...config.model, recompute: true } });
  const offloaded = parseConfig({ ...recomputed, optim: { ...config.optim, offload: true } });
  const totals = [await plan(recomputed), await plan(offloaded)];
  expect(totals[1]).toBeLessThan(totals[0]!);
  expect(await propose(totals[0]!)).toEqual({ settings: { "model.recompute": true }, total: totals[0] });
  expect(await propose(totals[0]! - 1)).toEqual({
    settings: { "model.recompute": true, "optim.offload": true },
    total: totals[1],
  });
});

test("none of what is proposed can be left out", async () => {
  const small = { "model.recompute": true, "lora.r": 32, "engine.kv_cache_bytes": 2 ** 26 };
  const available = await plan(
    Object.entries(small).reduce((some, [key, value]) => withSetting(some, key, value), config),
  );
  const { settings, total } = (await propose(available))!;
  expect(total).toBeLessThanOrEqual(available);
  const entries = Object.entries(settings);
  expect(entries.length).toBeGreaterThan(1);
  for (const [left] of entries) {
    const rest = entries.filter(([key]) => key !== left);
    const some = rest.reduce<Config>((all, [key, value]) => withSetting(all, key, value), config);
    expect(await plan(some), left).toBeGreaterThan(available);
  }
});

test("where nothing fits there is no proposal", async () => {
  expect(await propose(2 ** 31)).toBe(null); // the pool's idle buffers alone
});
