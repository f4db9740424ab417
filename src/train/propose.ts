import { DEFAULT_KV_CACHE_BYTES } from "../engine/engine-size.ts";
import { ConfigError } from "../errors.ts";
import { parseConfig, type Config } from "../run/config.ts";

/** Settings by `section.key`. */
export type Settings = Readonly<Record<string, unknown>>;

const RANK = 32;

const half = (n: number): number => Math.ceil(n / 2);

/** A quarter of the KV cache: fewer sequences are sampled at once. */
const quarterCache = ({ engine }: Config): Settings => ({
  "engine.kv_cache_bytes": Math.ceil((engine.kv_cache_bytes ?? DEFAULT_KV_CACHE_BYTES) / 4),
});

/** Half as long: what a sequence, a response and a micro-batch may have. */
const halveLengths = ({ engine, rl, train }: Config): Settings => {
  const { max_completion_length: limit } = rl;
  return {
    ...(engine.max_model_len === undefined ? {} : { "engine.max_model_len": half(engine.max_model_len) }),
    "rl.max_completion_length":
      typeof limit === "number" ? half(limit) : limit.map(([from, tokens]) => [from, half(tokens)]),
    "train.tokens_per_micro_batch": half(train.tokens_per_micro_batch),
  };
};

/** Settings that take less memory than a configuration has. */
type Saving = (config: Config) => Settings;

/** The cheapest first: to the same bits, to the same tokens more slowly, then fewer parameters, then shorter responses. */
const SAVINGS: readonly Saving[] = [
  () => ({ "model.recompute": true }),
  () => ({ "optim.offload": true }),
  ({ lora, rl }) => (lora.r > 0 || rl.beta === 0 ? {} : { "model.offload_reference": true }),
  quarterCache,
  ({ lora }) => (lora.r > 0 ? {} : { "lora.r": RANK }),
  quarterCache,
  halveLengths,
  quarterCache, // which holds a sequence again that it did not before
  halveLengths,
  halveLengths,
  halveLengths,
];

function withSettings(config: Config, settings: Settings): Config {
  const changed = structuredClone(config) as Record<string, Record<string, unknown>>;
  for (const [key, value] of Object.entries(settings)) {
    const [section, name] = key.split(".") as [string, string];
    changed[section]![name] = value;
  }
  return parseConfig(changed);
}

/** The settings of several, each seen from those before it. */
function fold(config: Config, savings: readonly Saving[]): Settings {
  let settings: Settings = {};
  for (const saving of savings) settings = { ...settings, ...saving(withSettings(config, settings)) };
  return settings;
}

/**
 * The cheapest settings with which a run takes no more than `available` bytes, by what `plan` says of a configuration; null where none
 * that are known here do. None of them can be left out.
 */
export async function proposeSettings(
  config: Config,
  available: number,
  plan: (config: Config) => Promise<number>,
): Promise<{ settings: Settings; total: number } | null> {
  const totalWith = async (savings: readonly Saving[]): Promise<number> => {
    try {
      return await plan(withSettings(config, fold(config, savings)));
    } catch (error) {
      if (error instanceof ConfigError) return Infinity; // a KV cache that holds no sequence
      throw error;
    }
  };
  let chosen: Saving[] = [];
  let total = await totalWith([]);
  for (const saving of SAVINGS) {
    if (total <= available) break;
    const now = withSettings(config, fold(config, chosen));
    if (JSON.stringify(withSettings(now, saving(now))) === JSON.stringify(now)) continue; // it is so already
    const less = await totalWith([...chosen, saving]);
    if (less >= total) continue;
    chosen.push(saving);
    total = less;
  }
  if (total > available) return null;
  // What those after it have made needless; the last one was missing.
  for (const candidate of chosen.slice(0, -1).reverse()) {
    const rest = chosen.filter((other) => other !== candidate);
    const without = await totalWith(rest);
    if (without > available) continue;
    chosen = rest;
    total = without;
  }
  return { settings: fold(config, chosen), total };
}
