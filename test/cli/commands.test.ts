import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync, existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { testGpu, tiersHere } from "../helpers/gpu.ts";

const root = new URL("../..", import.meta.url).pathname;
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "pith-cli-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs a command as a user does; Dawn's own warnings about limits are left out of `stderr`. */
const pith = (...args: string[]) => pithWith({}, ...args);

function pithWith(
  variables: Record<string, string>,
  ...args: string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  const argv = ["--import", "./scripts/wgsl-hook.js", "src/cli/main.ts", ...args];
  const options = { cwd: root, encoding: "utf8", env: { ...process.env, ...variables } } as const;
  return new Promise((resolve) => {
    execFile(process.execPath, argv, options, (error, stdout, stderr) => {
      const lines = stderr.split("\n").filter((line) => line !== "" && !line.startsWith("Warning: max"));
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr: lines.join("\n") });
    });
  });
}

/** A copy of a small model's folder, its weights changed. */
function brokenModel(
  name: string,
  change: (bytes: Buffer, header: Record<string, { data_offsets: [number, number] }>, body: number) => Buffer,
): string {
  const dir = join(folder, name);
  cpSync(`${root}/test/fixtures/transformers/qwen2-tied`, dir, { recursive: true });
  const bytes = readFileSync(join(dir, "model.safetensors"));
  const length = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, 8 + length).toString()) as Record<
    string,
    { data_offsets: [number, number] }
  >;
  writeFileSync(join(dir, "model.safetensors"), change(bytes, header, 8 + length));
  return dir;
}

function withHeader(header: object, body: Buffer): Buffer {
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, body]);
}

describe("commands", () => {
  test("sft trains the model of model.path, from random weights with random_init, and keeps save_total_limit checkpoints", async () => {
    const model = join(folder, "elsewhere");
    cpSync(`${root}/models/reasoner`, model, { recursive: true });
    const losses = async (name: string, ...more: string[]) => {
      const dir = join(folder, name);
      const settings = ["--sft.max_steps=3", "--sft.tokens_per_batch=256", "--train.save_every=1"];
      const { code, stderr } = await pith(
        "sft",
        `--model.path=${model}`,
        `--train.output_dir=${dir}`,
        ...settings,
        ...more,
      );
      expect(code, stderr).toBe(0);
      const rows = readFileSync(join(dir, "metrics.jsonl"), "utf8").trim().split("\n");
      return {
        losses: rows.map((row) => (JSON.parse(row) as { loss: number }).loss),
        checkpoints: readdirSync(join(dir, "checkpoints")),
      };
    };
    const trained = await losses("trained");
    expect(trained.losses[0]).toBeLessThan(1);
    expect(trained.checkpoints).toEqual(["step_000001", "step_000002", "step_000003"]);
    const random = await losses("random", "--sft.random_init=true", "--train.save_total_limit=1");
    const { vocab_size: words } = JSON.parse(readFileSync(join(model, "config.json"), "utf8")) as {
      vocab_size: number;
    };
    expect(Math.abs(random.losses[0]! - Math.log(words))).toBeLessThan(0.5);
    expect(random.checkpoints).toEqual(["step_000003"]);
  });

  test("npm start's plan is the bundled reasoner at alpha 0.2", async () => {
    const { scripts } = JSON.parse(readFileSync(`${root}/package.json`, "utf8")) as { scripts: { start: string } };
    expect(scripts.start).toMatch(/main\.ts start$/);
    const { code, stdout } = await pith("start", "--dry-run");
    expect(code).toBe(0);
    expect(stdout).toContain('"alpha": 0.2');
    expect(stdout).toContain('"path": "models/reasoner"');
    expect(stdout).toContain("in all: 40 iterations");
  });

  test(
    "the paper's presets: a plan without the model, whether it fits, and what would",
    { timeout: 240_000 },
    async () => {
      const plan = (...args: string[]) => pith("train", ...args, "--dry-run");
      const [small, large, overlaid] = await Promise.all([
        plan("--config", "configs/paper-1.5b.toml"),
        plan("--config", "configs/paper-7b.toml", "--optim.offload=false"),
        plan("configs/paper-1.5b.toml", "configs/grpo-ablation.toml", "--memory", "40GiB"),
      ]);
      expect([small.code, large.code, overlaid.code]).toEqual([0, 0, 0]);
      for (const row of ["weights", "f32 masters", "Adam moments", "reference weights", "an update", "rollouts"])
        expect(small.stdout).toMatch(new RegExp(`^  ${row} +\\d+\\.\\d\\d GB`, "m"));
      expect(small.stdout).toMatch(/2 optimizer steps; 8,323,072 tokens at most/);
      // How much exactly depends on the adapter: the KV cache's buffers keep to its limits.
      expect(small.stdout).toMatch(/^fits: [5-7]\d\.\d\d GB at most, within 80GB/m);
      expect(large.stdout).toMatch(/^does not fit: needs an adapter with 1[5-9]\d\.\d\d GB, got 80GB/m);
      expect(overlaid.stdout).toMatch(/^does not fit: needs an adapter with [5-7]\d\.\d\d GB, got 40GiB/m);
      expect(overlaid.stdout).toContain('"scale_rewards": "group"');
      expect(large.stdout).toMatch(/^fits with 7\d\.\d\d GB by --optim\.offload=true$/m);
      expect(overlaid.stdout).toMatch(/^fits with [23]\d\.\d\d GB by --optim\.offload=true$/m);
      expect(small.stdout).not.toContain("fits with");
    },
  );

  test(
    "the plan is for this machine's adapter, in its own tier, and says where a buffer or a binding exceeds its limits",
    { timeout: 240_000 },
    async () => {
      const { name, limits } = await testGpu();
      const plan = (tier: string, config: string) =>
        pithWith({ PITH_TIER: tier }, "train", "--config", config, "--dry-run");
      for (const tier of await tiersHere()) {
        const { code, stdout } = await plan(tier, "configs/paper-7b.toml");
        expect(code).toBe(0);
        expect(stdout).toContain(`\nplanned for this machine's ${name}, kernels of the tier ${tier}\n`);
        const says = (need: string) => stdout.includes(`does not fit this adapter: needs ${need}, got `);
        expect(says("a buffer of 2.55 GB")).toBe(limits.maxBufferSize < 2.55e9);
        expect(says("a binding of 2.46 GB")).toBe(limits.maxStorageBufferBindingSize < 2.46e9);
      }
      expect((await plan("baseline", "configs/start.toml")).stdout).not.toContain("does not fit this adapter");
    },
  );

  test.skipIf(process.platform !== "linux")(
    // elsewhere the adapter does not come from Vulkan's loader
    "without an adapter, the baseline's; one that was named must be there",
    async () => {
      const nowhere = { VK_DRIVER_FILES: "/nowhere", VK_ICD_FILENAMES: "/nowhere", PITH_TIER: "" };
      const { code, stdout } = await pithWith(nowhere, "start", "--dry-run");
      expect(code).toBe(0);
      expect(stdout).toMatch(
        /^planned for the baseline's kernels and buffers of any size: this machine has no adapter$/m,
      );
      const named = await pith("start", "--dry-run", "--device.adapter", "nosuch");
      expect([named.code, named.stderr]).toEqual([1, expect.stringMatching(/^pith: expected an adapter whose name/)]);
    },
  );

  test("generate answers a problem, greedily the same each time", async () => {
    const args = ["generate", "models/reasoner", "--prompt", "7+8=?", "--chat", "--temperature", "0", "--json"];
    const [a, b] = await Promise.all([pith(...args), pith(...args)]);
    expect(a.code).toBe(0);
    expect(a.stdout).toBe(b.stdout);
    const { outputs } = JSON.parse(a.stdout) as {
      outputs: { text: string; finish_reason: string; token_ids: number[]; logprobs: number[] }[];
    };
    expect(outputs[0]!.text).toContain("\\boxed{15}");
    expect(outputs[0]!.finish_reason).toBe("stop");
    expect(outputs[0]!.logprobs.length).toBe(outputs[0]!.token_ids.length);
  });

  test(
    "generate ends at the first of the stop strings, which is no part of the text",
    { timeout: 120_000 },
    async () => {
      const args = ["generate", "models/reasoner", "--prompt", "7+8-5=?", "--chat", "--temperature", "0"];
      const whole = await pith(...args);
      const stops = ["\\boxed", "=10"];
      const before = whole.stdout.slice(0, Math.min(...stops.map((stop) => whole.stdout.indexOf(stop))));
      const flags = stops.flatMap((stop) => ["--stop", stop]);
      const [streamed, json] = await Promise.all([pith(...args, ...flags), pith(...args, ...flags, "--json")]);
      expect(streamed).toMatchObject({ code: 0, stdout: `${before}\n` });
      const { outputs } = JSON.parse(json.stdout) as { outputs: { text: string; finish_reason: string }[] };
      expect(outputs[0]).toMatchObject({ text: before, finish_reason: "stop" });
    },
  );

  test("tune measures where there is a choice, and says why where there is none", { timeout: 240_000 }, async () => {
    const model = "test/fixtures/transformers/qwen2-tied";
    for (const tier of await tiersHere()) {
      const variables = { PITH_TIER: tier, XDG_CACHE_HOME: folder };
      const { code, stdout } = await pithWith(variables, "tune", model);
      expect(code).toBe(0);
      if (tier !== "matrices") {
        expect(stdout).toMatch(new RegExp(`^nothing to tune on .*, tier ${tier}: only the tier matrices has more`));
        continue;
      }
      expect(stdout).toMatch(/^linear_forward 1 x \d+ +\d+ x \d+ +\d+ x \d+ +\d\.\d\d$/m);
      const [, path] = /shapes differ from the rule; kept in (.*)$/m.exec(stdout)!;
      expect(path!.startsWith(`${folder}/pith/`)).toBe(true);
      const plan = () => pithWith(variables, "start", "--dry-run");
      expect((await plan()).stderr).toBe("");
      writeFileSync(path!, readFileSync(path!, "utf8").slice(0, 50));
      const cut = await plan();
      expect([cut.code, cut.stderr]).toEqual([0, expect.stringContaining(`${path} is not used: expected JSON`)]);
    }
  });
});

test("with a roof, a dry run plans the time of every phase, and says that it is a model", async () => {
  const plan = (...args: string[]) => pith("train", "configs/paper-1.5b.toml", "--dry-run", ...args);
  const { code, stdout } = await plan("--roof", "h100", "--tokens", "5000");
  expect(code).toBe(0);
  expect(stdout).toMatch(/time of an iteration on H100 SXM, a model and no measurement: responses of 5000 tokens/);
  for (const phase of ["prefill", "decode", "reference", "update", "optimizer"])
    expect(stdout).toMatch(new RegExp(`^ {2}${phase} +[0-9.]+ s `, "m"));
  expect(stdout).toMatch(/tokens\/s; [0-9.]+ hours in all/);
  expect((await plan("--roof", "abacus")).code).toBe(2);
});

test("a dry run plans the time of the adapter at hand by a short iteration on it", { timeout: 240_000 }, async () => {
  const { code, stdout, stderr } = await pith("train", "configs/start.toml", "--dry-run", "--roof", "here");
  expect(code).toBe(0);
  expect(stderr).toMatch(/^a short iteration on .* first, to plan by$/m);
  expect(stdout).toMatch(/tokens in the mean, by what a short iteration with random weights took here$/m);
  expect(Number(/^ {2}total +([0-9.]+) s {2}\d+ tokens\/s/m.exec(stdout)![1])).toBeGreaterThan(0);
});

test(
  "a model that a software adapter would take minutes for is not measured on it",
  { timeout: 240_000 },
  async (context) => {
    if (!(await testGpu()).info.isFallbackAdapter) return context.skip("a GPU may well do it");
    const { code, stderr } = await pith("train", "configs/paper-1.5b.toml", "--dry-run", "--roof", "here");
    expect(code).toBe(2);
    expect(stderr).toMatch(/a short iteration of this model is not measured on .*: may take \d+ s a run/);
  },
);

test("a flag can switch a setting off", async () => {
  const { code, stdout } = await pith("train", "configs/paper-1.5b.toml", "--model.recompute", "false", "--dry-run");
  expect(code).toBe(0);
  expect(stdout).toContain('"recompute": false');
});

test("an evaluation goes on from the responses that it kept", async () => {
  const sampling = ["--eval.num_problems", "6", "--eval.num_samples", "2", "--cutoff", "30,60"];
  const evaluate = (path: string) => pith("eval", "configs/start.toml", ...sampling, "--output", path);
  const whole = join(folder, "whole.jsonl");
  const { code, stdout } = await evaluate(whole);
  expect(code).toBe(0);
  const cut = join(folder, "cut.jsonl");
  writeFileSync(cut, readFileSync(whole).subarray(0, -700)); // in the middle of a line, and of a problem's responses
  expect((await evaluate(cut)).stdout).toBe(stdout);
  expect(readFileSync(cut, "utf8")).toBe(readFileSync(whole, "utf8"));
  const other = await pith("eval", "configs/start.toml", "--eval.seed", "9", ...sampling, "--output", whole);
  expect([other.code, other.stderr]).toEqual([
    2,
    expect.stringMatching(/holds responses of another model, task or eval/),
  ]);
});

describe("bad input is one line on standard error", () => {
  const runDir = () => join(folder, "run");
  const cases: [name: string, args: () => string[], code: number, message: RegExp][] = [
    ["an unknown command", () => ["frobnicate"], 2, /unknown command frobnicate/],
    [
      "an unknown configuration key",
      () => ["train", "--rl.alph", "1"],
      2,
      /unknown configuration key rl\.alph; did you mean rl\.alpha\?/,
    ],
    ["alpha 1.5", () => ["train", "--rl.alpha", "1.5", "--train.output_dir", runDir()], 2, /rl\.alpha: got 1\.5/],
    [
      "a memory without a unit",
      () => ["train", "--dry-run", "--memory", "80"],
      2,
      /--memory: expected a size such as 80GB or 24GiB, got 80/,
    ],
    ["a missing configuration file", () => ["train", "nosuch.toml"], 1, /nosuch\.toml: no such file/],
    [
      "an unknown option",
      () => ["generate", "models/reasoner", "--promt", "x"],
      2,
      /unknown option --promt; did you mean --prompt\?/,
    ],
    [
      "no adapter of that name",
      () => ["generate", "models/reasoner", "--prompt", "1", "--device.adapter", "nosuch"],
      1,
      /nosuch/,
    ],
    [
      "no adapter for a run",
      () => ["train", "configs/start.toml", "--device.adapter", "nosuch", "--train.output_dir", runDir()],
      1,
      /nosuch/,
    ],
    [
      "a prompt longer than the context",
      () => ["generate", "models/reasoner", "--prompt-ids", Array(600).fill(9).join()],
      2,
      /fewer than 512 tokens.*got 600/,
    ],
    [
      "weights cut short",
      () => ["generate", brokenModel("short", (bytes) => bytes.subarray(0, -100)), "--prompt-ids", "1"],
      1,
      /cut short/,
    ],
    [
      "overlapping tensors",
      () => {
        const dir = brokenModel("overlap", (bytes, header, body) => {
          const entry = header["model.norm.weight"]!;
          entry.data_offsets = [entry.data_offsets[0] - 8, entry.data_offsets[1] - 8];
          return withHeader(header, bytes.subarray(body));
        });
        return ["generate", dir, "--prompt-ids", "1"];
      },
      1,
      /overlap/,
    ],
    [
      "a header of 10 GB",
      () => {
        const dir = brokenModel("huge", (bytes) => {
          bytes.writeBigUInt64LE(10n * 1024n ** 3n);
          return bytes;
        });
        return ["generate", dir, "--prompt-ids", "1"];
      },
      1,
      /got 10737418240/,
    ],
    [
      "a NaN weight",
      () => {
        const dir = brokenModel("nan", (bytes, header, body) => {
          bytes.writeUInt16LE(0x7fc0, body + header["model.norm.weight"]!.data_offsets[0]);
          return bytes;
        });
        return ["generate", dir, "--prompt-ids", "1"];
      },
      1,
      /NaN in model\.norm\.weight at 0/,
    ],
    [
      "an unknown model_type",
      () => {
        const dir = brokenModel("type", (bytes) => bytes);
        const config = JSON.parse(readFileSync(join(dir, "config.json"), "utf8")) as object;
        writeFileSync(join(dir, "config.json"), JSON.stringify({ ...config, model_type: "gpt2" }));
        return ["generate", dir, "--prompt-ids", "1"];
      },
      1,
      /qwen2, qwen3, llama, got "gpt2"/,
    ],
  ];

  test.each(cases)("%s", async (_name, args, code, message) => {
    const result = await pith(...args());
    expect(result.stderr).toMatch(message);
    expect(result.stderr.split("\n").length).toBe(1);
    expect(result.code).toBe(code);
    expect(result.stdout).toBe("");
    expect(existsSync(runDir())).toBe(false);
  });
});
