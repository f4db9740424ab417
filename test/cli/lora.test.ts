import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { openSafetensors } from "../../src/hf/safetensors.ts";
import { nodeFiles } from "../../src/runtime/files-node.ts";
import { temporaryFolder } from "../helpers/host.ts";

const dir = temporaryFolder();
const root = fileURLToPath(new URL("../..", import.meta.url));

const pith = (...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> =>
  new Promise((resolve) => {
    const argv = ["--import", "./scripts/wgsl-hook.js", "src/cli/main.ts", ...args];
    execFile(process.execPath, argv, { cwd: root, encoding: "utf8" }, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    );
  });

interface Generated {
  outputs: { token_ids: number[]; logprobs: number[] }[];
}

test(
  "an adapter is trained, its run verified, and evaluated; training does not begin from one",
  { timeout: 240_000 },
  async () => {
    const run = `${dir}/run`;
    const rl = ["num_prompts=2", "num_generations=4", "max_iterations=2", "max_completion_length=60"];
    const settings = rl.map((setting) => `--rl.${setting}`);
    const lora = ["--lora.r=4", "--optim.learning_rate=1e-3", "--optim.warmup_steps=0"];
    const trained = await pith("train", ...settings, ...lora, "--train.save_every=1", `--train.output_dir=${run}`);
    expect(trained).toMatchObject({ code: 0 });
    expect(trained.stderr).toMatch(/adapters of \d+ parameters over \d+, bfloat16/);
    expect((await pith("verify", run)).stdout).toContain("16 passed, 0 failed");

    const adapter = `${run}/checkpoints/step_000002`;
    const limits = ["--eval.num_problems=4", "--eval.max_completion_length=40"];
    expect(await pith("eval", `--model.path=${adapter}`, ...limits)).toMatchObject({ code: 0 });
    const again = await pith("train", `--model.path=${adapter}`, `--train.output_dir=${dir}/again`);
    expect(again).toMatchObject({ code: 2 });
    expect(again.stderr).toContain("expected a whole model to train, got the adapter");
  },
);

test("merge writes a plain folder that answers as the adapter does", { timeout: 240_000 }, async () => {
  const base = "test/fixtures/lora/lora-qwen2";
  const output = `${dir}/merged`;
  expect(await pith("merge", `${base}/adapter`, "--output", output, "--dtype", "float32")).toMatchObject({ code: 0 });
  const generate = async (model: string) => {
    const { stdout } = await pith(
      "generate",
      model,
      "--prompt-ids=5,9,2,7",
      "--temperature=0",
      "--max-tokens=16",
      "--json",
    );
    return (JSON.parse(stdout) as Generated).outputs[0]!;
  };
  const [merged, adapted, alone] = [await generate(output), await generate(`${base}/adapter`), await generate(base)];
  expect(merged.token_ids).toEqual(adapted.token_ids);
  merged.logprobs.forEach((logprob, i) => expect(logprob).toBeCloseTo(adapted.logprobs[i]!, 4));
  expect(alone.logprobs[0]).not.toBeCloseTo(adapted.logprobs[0]!, 2);

  const [got, want] = await Promise.all(
    [output, base].map((path) => openSafetensors(nodeFiles, `${path}/model.safetensors`)),
  );
  expect([...got!.tensors.keys()].sort()).toEqual([...want!.tensors.keys()].sort());
  expect(await got!.readF32("model.norm.weight")).toEqual(await want!.readF32("model.norm.weight"));

  const second = await pith("merge", `${base}/adapter`, "--output", output);
  expect(second).toMatchObject({ code: 1 });
  expect(second.stderr).toContain("expected a folder that is not there yet");
  expect((await pith("merge", base, "--output", `${dir}/x`)).stderr).toContain("expected an adapter's folder");
});
