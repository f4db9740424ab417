import { describe, expect, test } from "vitest";
import { FormatError } from "../../src/errors.ts";
import { aggregationWeights, pytorchError } from "../../src/verify/pytorch/model.ts";
import { runVerify } from "../../src/verify/verify.ts";
import { testGpu } from "../helpers/gpu.ts";
import { files } from "../helpers/host.ts";

const fixtures = [
  new URL("../fixtures/transformers", import.meta.url).pathname,
  new URL("../fixtures/lora", import.meta.url).pathname,
];

test("a response without tokens has no part in the loss's mean over sequences, which counts it", () => {
  const mask = Float32Array.of(0, 1, 1, 0, 0, 0, 1, 1, 1, 1);
  const weights = aggregationWeights(mask, Uint32Array.of(0, 3, 5, 5, 10), "sequence");
  expect(Array.from(weights)).toEqual([0, 1 / 8, 1 / 8, 0, 0, 0, 1 / 16, 1 / 16, 1 / 16, 1 / 16]);
});

test("the limit in bfloat16 is PyTorch's own error, which the reference must tell", () => {
  const metadata = { bf16_grad_error: "0.0442", bf16_logits_error: "0", bf16_grad_cosine: "small" };
  expect(pytorchError({ metadata }, "bf16_grad_error")).toBe(0.0442);
  for (const name of ["bf16_logits_error", "bf16_grad_cosine", "bf16_logprobs_error"])
    expect(() => pytorchError({ metadata }, name)).toThrow(FormatError);
});

describe("agreement with PyTorch and transformers on the committed fixtures", () => {
  test.each(["float32", "bfloat16"] as const)("%s", async (dtype) => {
    const gpu = await testGpu();
    const failed: string[] = [];
    const names = new Set<string>();
    for await (const { name, error, limit, pass } of runVerify(gpu, files, fixtures, { dtype })) {
      names.add(name);
      if (!pass) failed.push(`${name}: ${error} > ${limit}`);
    }
    expect(failed).toEqual([]);
    const entries = await Promise.all(fixtures.map((path) => files.list(path)));
    const cases = entries.flat().filter((name) => !name.includes("."));
    expect(cases.length).toBeGreaterThan(3);
    for (const name of cases) expect(names).toContain(`${name} logits`);
    for (const name of cases.filter((adapter) => adapter.startsWith("lora-")))
      expect(names).toContain(`${name} merged logits`);
    expect(names).toContain("adamw param");
    expect(names).toContain("attention 0 dk");
  });

  test("nothing to verify is an error, not a success", async () => {
    const gpu = await testGpu();
    const run = async (path: string) => {
      for await (const _ of runVerify(gpu, files, [path], { dtype: "float32" }));
    };
    await expect(run(new URL(".", import.meta.url).pathname)).rejects.toThrow(FormatError);
    await expect(run("no/such/folder")).rejects.toThrow(/no such file/);
  });
});
