import { describe, expect, test } from "vitest";
import type { EngineOptions } from "../../src/engine/engine-size.ts";
import { LLM, type GenerateRequest, type RequestOutput } from "../../src/engine/llm.ts";
import type { SamplingParams } from "../../src/engine/sampling-params.ts";
import { ConfigError } from "../../src/errors.ts";
import { packSequences } from "../../src/model/batch.ts";
import { Model, type ModelDType } from "../../src/model/model.ts";
import { tokenLogprobs } from "../../src/train/policy.ts";
import { testGpu } from "../helpers/gpu.ts";
import { tinyConfig } from "../helpers/models.ts";

const params: SamplingParams = { n: 3, temperature: 1, topK: 0, topP: 1, maxTokens: 40, seed: 7, stopTokenIds: [0, 5] };
const requests: GenerateRequest[] = [
  { promptId: 11, promptTokenIds: [1, 2, 3] },
  { promptId: 12, promptTokenIds: Array.from({ length: 37 }, (_, i) => (7 * i + 1) % 37) },
  { promptId: 13, promptTokenIds: [9] },
  { promptId: 14, promptTokenIds: Array.from({ length: 16 }, (_, i) => 36 - i) },
];

async function model(dtype: ModelDType): Promise<Model> {
  const random = Model.random(await testGpu(), tinyConfig(), { dtype, seed: 3 });
  // At its initial scale the model's distribution is nearly uniform, and a wrong one would look like it.
  for (const [name, tensor] of random.parameters) {
    if (name.endsWith("norm.weight")) continue;
    random.gpu.write(
      tensor,
      (await random.gpu.readF32(tensor)).map((w) => w * 8),
    );
  }
  return random;
}

async function generate(m: Model, options: EngineOptions, subset = requests, p = params): Promise<RequestOutput[]> {
  const llm = new LLM(m, { maxModelLen: 128, ...options });
  try {
    return await llm.generate(subset, p);
  } finally {
    llm.dispose();
  }
}

describe.each(["float32", "bfloat16"] as const)("LLM in %s", (dtype) => {
  test("the sampler's log-probabilities are the trainer's, to the bit", async () => {
    const m = await model(dtype);
    const outputs = await generate(m, {});
    const flat = outputs.flatMap(({ promptTokenIds, outputs: o }) => o.map((c) => ({ promptTokenIds, ...c })));
    const batch = packSequences(flat.map((c) => [...c.promptTokenIds, ...c.tokenIds]));
    const { logprobs } = await tokenLogprobs(m, batch, { temperature: 1 });
    flat.forEach((c, s) => {
      const start = batch.cuSeqlens[s]! + c.promptTokenIds.length;
      expect(Array.from(logprobs.subarray(start, start + c.tokenIds.length))).toEqual(c.logprobs);
    });
    expect(new Set(flat.map((c) => c.tokenIds.join())).size).toBeGreaterThan(flat.length / 2);
    m.dispose();
  });

  test("a rollout depends on neither batch, slots, block size nor preemption", async () => {
    const m = await model(dtype);
    const all = await generate(m, {});
    expect(await generate(m, { maxNumSeqs: 1 })).toEqual(all);
    expect(await generate(m, { maxNumSeqs: 5, blockSize: 8 })).toEqual(all);
    // Room for one long sequence and a little: the others are preempted again and again.
    const { numLayers, numKvHeads, headDim } = m.config;
    const position = numLayers * 2 * numKvHeads * headDim * (dtype === "float32" ? 4 : 2);
    expect(await generate(m, { blockSize: 8, kvCacheBytes: 144 * position })).toEqual(all);
    expect(await generate(m, {}, [requests[2]!])).toEqual([all[2]]);
    expect(await generate(m, {}, requests, { ...params, n: 1 })).toEqual(
      all.map((r) => ({ ...r, outputs: r.outputs.slice(0, 1) })),
    );
    // In parts, of which one batch has a first and another's last.
    const parts = [
      { ...requests[0]!, samples: 1 },
      { ...requests[1]!, firstSample: 1, samples: 2 },
    ];
    const outputs = (await generate(m, {}, parts)).map((r) => r.outputs);
    expect(outputs).toEqual([all[0]!.outputs.slice(0, 1), all[1]!.outputs.slice(1)]);
    m.dispose();
  });

  test("greedy decoding takes the most probable token, and ends for the reason it says", async () => {
    const m = await model(dtype);
    const outputs = await generate(m, {}, requests, { ...params, n: 1, temperature: 0 });
    for (const {
      promptTokenIds,
      outputs: [c],
    } of outputs) {
      const last = c!.tokenIds.at(-1)!;
      expect(c!.finishReason).toBe(params.stopTokenIds.includes(last) ? "stop" : "length");
      expect(c!.tokenIds.slice(0, -1).some((id) => params.stopTokenIds.includes(id))).toBe(false);
      if (c!.finishReason === "length") expect(c!.tokenIds.length).toBe(params.maxTokens);
      // Every token in the place of the first sampled one: none is more probable.
      const candidates = packSequences(Array.from({ length: 37 }, (_, id) => [...promptTokenIds, id]));
      const { logprobs } = await tokenLogprobs(m, candidates, { temperature: 1 });
      const first = Array.from({ length: 37 }, (_, id) => logprobs[candidates.cuSeqlens[id + 1]! - 1]!);
      expect(first[c!.tokenIds[0]!]).toBe(Math.max(...first));
      expect(first.reduce((sum, lp) => sum + Math.exp(lp), 0)).toBeCloseTo(1, 4);
    }
    m.dispose();
  });
});

describe("LLM", () => {
  test("a stop string ends a completion at the token that completes it, and changes nothing before", async () => {
    const m = await model("float32");
    const decode = (ids: readonly number[]) => ids.map((id) => String.fromCharCode(97 + (id % 4))).join("");
    const stop = ["ab", "dcd"];
    const llm = new LLM(m, { maxModelLen: 128 });
    const plain = await llm.generate(requests, params);
    const stopped = await llm.generate(requests, { ...params, stop }, { decode });
    const completions = (outputs: RequestOutput[]) => outputs.flatMap((output) => output.outputs);
    let ended = 0;
    completions(plain).forEach((free, i) => {
      const completes = (_: number, at: number) => stop.some((s) => decode(free.tokenIds.slice(0, at + 1)).includes(s));
      const at = free.tokenIds.findIndex(completes);
      if (at < 0) return expect(completions(stopped)[i]).toEqual(free);
      ended++;
      const { tokenIds, logprobs } = free;
      const expected = { tokenIds: tokenIds.slice(0, at + 1), logprobs: logprobs.slice(0, at + 1) };
      expect(completions(stopped)[i]).toEqual({ ...free, ...expected, finishReason: "stop" });
    });
    expect(ended).toBeGreaterThan(3);
    await expect(llm.generate(requests, { ...params, stop })).rejects.toThrow(/a tokenizer/);
    await expect(llm.generate(requests, { ...params, stop: [""] }, { decode })).rejects.toThrow(ConfigError);
    llm.dispose();
    m.dispose();
  });

  test.each([1e-31, 1e-39, 5e-324])("temperature %s is greedy", async (temperature) => {
    const m = await model("float32");
    const draws = (t: number) => generate(m, {}, requests, { ...params, temperature: t });
    expect(await draws(temperature)).toEqual(await draws(0));
    const tokens = (outputs: RequestOutput[]) => outputs.map(({ outputs: all }) => all.map((c) => c.tokenIds));
    expect(tokens(await draws(1e-29))).toEqual(tokens(await draws(0)));
    m.dispose();
  });

  test("another seed, another sample", async () => {
    const m = await model("float32");
    const a = await generate(m, {});
    const b = await generate(m, {}, requests, { ...params, seed: 8 });
    expect(b).not.toEqual(a);
    m.dispose();
  });

  test("names what is wrong with a request", async () => {
    const m = await model("float32");
    const bad = (subset: typeof requests, p = params) => generate(m, {}, subset, p);
    await expect(bad([{ promptId: 0, promptTokenIds: [] }])).rejects.toThrow(/at least one token/);
    await expect(bad([{ promptId: 0, promptTokenIds: [37] }])).rejects.toThrow(/0 to 36, got 37/);
    await expect(bad([{ promptId: 0, promptTokenIds: Array(128).fill(1) }])).rejects.toThrow(/fewer than 128/);
    await expect(bad([{ promptId: 0, promptTokenIds: [1], samples: 0 }])).rejects.toThrow(
      /samples: .* at least 1, got 0/,
    );
    await expect(bad(requests, { ...params, topP: 0 })).rejects.toThrow(ConfigError);
    expect(() => new LLM(m, { kvCacheBytes: 1000 })).toThrow(/kv_cache_bytes/);
    m.dispose();
  });

  test("an aborted generation stops and leaves the engine usable", async () => {
    const m = await model("float32");
    const llm = new LLM(m, { maxModelLen: 128 });
    const controller = new AbortController();
    const aborted = llm.generate(requests, params, {
      signal: controller.signal,
      onTokens: () => controller.abort(new Error("enough")),
    });
    await expect(aborted).rejects.toThrow("enough");
    expect(await llm.generate(requests, params)).toEqual(await generate(m, {}));
    llm.dispose();
    m.dispose();
  });

  test("requests join those under way, each with its own parameters, and draw what they draw alone", async () => {
    const m = await model("float32");
    const kinds = [params, { ...params, temperature: 0 }, { ...params, topK: 3, maxTokens: 9 }, { ...params, seed: 9 }];
    const alone = await Promise.all(
      requests.map(async (request, i) => (await generate(m, {}, [request], kinds[i]!))[0]!),
    );
    const llm = new LLM(m, { maxModelLen: 128, maxNumSeqs: 5 });
    const late: Promise<RequestOutput>[] = [];
    const first = llm.addRequest(requests[0]!, kinds[0]!, {
      onTokens: () => {
        const next = late.length + 1;
        if (next < requests.length) late.push(llm.addRequest(requests[next]!, kinds[next]!));
      },
    });
    expect([await first, ...(await Promise.all(late))]).toEqual(alone);
    expect(() => llm.dispose()).not.toThrow();
    m.dispose();
  });

  test("aborting one request leaves the others as they are", async () => {
    const m = await model("float32");
    const alone = await generate(m, {});
    const llm = new LLM(m, { maxModelLen: 128, maxNumSeqs: 4 });
    const controller = new AbortController();
    const others = requests.filter((_, i) => i !== 1).map((request) => llm.addRequest(request, params));
    const aborted = llm.addRequest(requests[1]!, params, {
      signal: controller.signal,
      onTokens: () => controller.abort(new Error("enough of this")),
    });
    expect(() => llm.dispose()).toThrow(/under way/);
    await expect(aborted).rejects.toThrow("enough of this");
    expect(await Promise.all(others)).toEqual(alone.filter((_, i) => i !== 1));
    llm.dispose();
    m.dispose();
  });

  test.each([
    { dtype: "float32", value: 3.4e38, name: "model.layers.0.mlp.up_proj.weight" },
    { dtype: "float32", value: Infinity, name: "lm_head.weight" },
    { dtype: "bfloat16", value: 3.4e38, name: "model.embed_tokens.weight" },
    { dtype: "bfloat16", value: NaN, name: "model.norm.weight" },
  ] as const)("logits that are not finite are an error, $dtype, $value in $name", async ({ dtype, value, name }) => {
    const m = await model(dtype);
    const weight = m.parameter(name === "lm_head.weight" ? m.headName : name);
    const values = await m.gpu.readF32(weight);
    const [first] = values;
    values[0] = value;
    m.gpu.write(weight, values);
    const llm = new LLM(m, { maxModelLen: 128 });
    for (const temperature of [0, 1]) {
      const generated = llm.generate(requests, { ...params, temperature });
      await expect(generated).rejects.toThrow(
        /^expected finite logits, got NaN or infinity at position \d+ of prompt 1/,
      );
    }
    values[0] = first!;
    m.gpu.write(weight, values);
    expect(await llm.generate(requests, params)).toEqual(await generate(m, {}));
    llm.dispose();
    m.dispose();
  });

  test("a request that is refused leaves nothing behind", async () => {
    const m = await model("float32");
    const llm = new LLM(m, { maxModelLen: 128 });
    const bad = { promptId: 0, promptTokenIds: [37] };
    await expect(llm.generate([...requests, bad], params)).rejects.toThrow(/0 to 36, got 37/);
    expect(() => llm.dispose()).not.toThrow();
    m.dispose();
  });
});
