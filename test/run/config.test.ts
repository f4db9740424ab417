import { readFileSync } from "node:fs";
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

  test("docs/configuration.md is current", () => {
    expect(readFileSync(`${root}/docs/configuration.md`, "utf8")).toBe(configurationDocs());
  });
});
