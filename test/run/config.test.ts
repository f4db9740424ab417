import { readFileSync } from "node:fs";
import { parse as parseToml } from "smol-toml";
import { describe, expect, test } from "vitest";
import { ConfigError } from "../../src/errors.ts";
import { loadConfig, parseConfig } from "../../src/run/config.ts";
import { configurationDocs } from "../../src/run/docs.ts";
import { nodeFiles } from "../../src/runtime/files-node.ts";

const root = new URL("../..", import.meta.url).pathname;

describe("configuration", () => {
  test("defaults, then files, then flags", async () => {
    expect(parseConfig({}).rl.alpha).toBe(0.1);
    expect((await loadConfig(nodeFiles, [`${root}/configs/start.toml`], {})).rl.alpha).toBe(0.2);
    const config = await loadConfig(nodeFiles, [`${root}/configs/start.toml`], { rl: { alpha: 0.4 } });
    expect(config.rl.alpha).toBe(0.4);
    expect(config.rl.num_prompts).toBe(16);
  });

  test.each(["paper-1.5b", "paper-7b"])(
    "configs/%s.toml states every hyper-parameter of the paper's code",
    async (name) => {
      const path = `${root}/configs/${name}.toml`;
      const { rl, optim, train, model, eval: evaluation, engine } = await loadConfig(nodeFiles, [path], {});
      expect(rl).toEqual({
        alpha: 0.1,
        num_prompts: 32,
        num_generations: 8,
        num_steps: 2,
        max_iterations: 100,
        lag: 0,
        max_completion_length: 32000,
        temperature: 1,
        top_p: 1,
        min_p: 0,
        stop: [],
        top_k: 0,
        beta: 0.001,
        kl_estimator: "none",
        epsilon: 0.2,
        scale_rewards: "none",
        loss_type: "grpo",
        advantage: "rloo",
        importance_sampling_level: "token",
        mask_truncated_completions: false,
        num_iterations: 1,
        dynamic_sampling: 0,
        screen_generations: 0,
        length_reward: "sigmoid",
        length_reward_options: {},
        rewards: [{ name: "correct", weight: 1 }],
      });
      expect(optim).toEqual({
        learning_rate: name === "paper-7b" ? 2e-6 : 5e-6,
        adam_beta1: 0.9,
        adam_beta2: 0.95,
        adam_epsilon: 1e-8,
        weight_decay: 0,
        max_grad_norm: 1,
        state_dtype: "float32",
        offload: name === "paper-7b",
        lr_scheduler_type: "constant_with_warmup",
        warmup_steps: 6,
      });
      expect(model).toEqual({
        path: `deepseek-ai/DeepSeek-R1-Distill-Qwen-${name === "paper-7b" ? "7" : "1.5"}B`,
        dtype: "bfloat16",
        recompute: true,
        offload_reference: name === "paper-7b",
      });
      expect([train.seed, train.save_every, engine.max_model_len]).toEqual([42, 10, 32512]);
      expect(evaluation).toMatchObject({ num_samples: 3, temperature: 0.6, top_p: 1, max_completion_length: 32768 });
      // Written out, so that a default that changes does not change the preset.
      const text = parseToml(readFileSync(path, "utf8")) as Record<string, object>;
      for (const [section, keys] of Object.entries({ rl, optim, model }))
        expect(Object.keys(text[section]!).sort()).toEqual(Object.keys(keys).sort());
    },
  );

  test.each([
    ["released-code", "batch"],
    ["grpo-ablation", "group"],
  ])("configs/%s.toml over a preset changes the normalisation to %s and the folder", async (name, scale) => {
    const preset = `${root}/configs/paper-7b.toml`;
    const before = await loadConfig(nodeFiles, [preset], {});
    const after = await loadConfig(nodeFiles, [preset, `${root}/configs/${name}.toml`], {});
    expect(after).toEqual({
      ...before,
      rl: { ...before.rl, scale_rewards: scale },
      train: { ...before.train, output_dir: `runs/${name}` },
    });
  });

  test.each(["start", "reasoner", "stories"])("configs/%s.toml is valid", async (name) => {
    await expect(loadConfig(nodeFiles, [`${root}/configs/${name}.toml`], {})).resolves.toBeTruthy();
  });

  test("an unknown key names the nearest one", () => {
    expect(() => parseConfig({ rl: { num_generation: 4 } })).toThrow(
      /rl\.num_generation; did you mean rl\.num_generations\?/,
    );
  });

  test.each([
    { rl: { alpha: 1.5 } },
    { rl: { num_prompts: 0 } },
    { optim: { learning_rate: "fast" } },
    { model: { dtype: "float16" } },
  ])("refuses %j", (json) => {
    expect(() => parseConfig(json)).toThrow(ConfigError);
  });

  test.each([
    [{ length_reward: "alp", length_reward_options: { weight: 1 } }, "the numbers of alp are: beta"],
    [{ length_reward: "alp", length_reward_options: { beta: "1" } }, "rl.length_reward_options.beta"],
    [{ length_reward_options: { alpha: 1 } }, "the numbers of sigmoid are: none, for alpha is its only one"],
    [{ length_reward: "kimi", target_length: 60 }, 'rl.length_reward: got "kimi"; expected sigmoid with target_length'],
    [{ max_completion_length: [[1, 10]] }, "expected a number, or [from, tokens] with from rising from 0"],
    [
      {
        max_completion_length: [
          [0, 10],
          [0, 5],
        ],
      },
      "with from rising from 0",
    ],
    [{ max_completion_length: [] }, "rl.max_completion_length"],
    [{ rewards: [] }, "rl.rewards"],
    [{ screen_generations: 2 }, "rl.screen_generations: got 2; expected 0 without rl.dynamic_sampling"],
    [{ dynamic_sampling: 1, screen_generations: 1 }, "rl.screen_generations: got 1; expected 0, or at least 2"],
    [{ dynamic_sampling: 1, screen_generations: 8 }, "and below rl.num_generations"],
  ])("rl %j is refused", (rl, message) => {
    expect(() => parseConfig({ rl })).toThrow(message);
  });

  test("a length reward with its numbers, and a limit in stages", () => {
    const rl = {
      length_reward: "alp",
      length_reward_options: { beta: 1e-4 },
      max_completion_length: [
        [0, 10],
        [5, 8],
      ],
    };
    expect(parseConfig({ rl }).rl).toMatchObject(rl);
  });

  test("docs/configuration.md is current", () => {
    expect(readFileSync(`${root}/docs/configuration.md`, "utf8")).toBe(configurationDocs());
  });
});
