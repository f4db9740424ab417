import { mkdirSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { openWeights } from "../../src/hf/checkpoint.ts";
import { stopTokenIds } from "../../src/hf/generation-config.ts";
import { writeSafetensors } from "../../src/hf/safetensors.ts";
import { nodeFiles } from "../../src/runtime/files-node.ts";
import { temporaryFolder } from "./temporary.ts";

const root = temporaryFolder();
let count = 0;

function folder(files: Record<string, unknown> = {}): string {
  const dir = `${root}/${count++}`;
  mkdirSync(dir);
  for (const [name, json] of Object.entries(files))
    writeFileSync(`${dir}/${name}`, typeof json === "string" ? json : JSON.stringify(json));
  return dir;
}

const weights = (path: string, values: Record<string, number>) =>
  writeSafetensors(
    nodeFiles,
    path,
    Object.entries(values).map(([name, value]) => ({
      name,
      dtype: "F32",
      shape: [1],
      data: () => new Uint8Array(Float32Array.of(value).buffer),
    })),
  );

describe("a model's weights", () => {
  const index = (weight_map: unknown) => ({ "model.safetensors.index.json": { metadata: {}, weight_map } });

  test("shards are one set of weights", async () => {
    const dir = folder(index({ a: "model-1-of-2.safetensors", b: "model-2-of-2.safetensors" }));
    await weights(`${dir}/model-1-of-2.safetensors`, { a: 1 });
    await weights(`${dir}/model-2-of-2.safetensors`, { b: 2 });
    const opened = await openWeights(nodeFiles, dir);
    expect(opened.names).toEqual(["a", "b"]);
    expect([opened.shape("b"), opened.dtype("b")]).toEqual([[1], "F32"]);
    expect([...(await opened.readWeights("a")), ...(await opened.readWeights("b"))]).toEqual([1, 2]);
    expect(() => opened.shape("c")).toThrow(/expected a tensor c/);
  });

  test("a missing shard, a missing tensor, a path out of the folder and no weights at all", async () => {
    const missing = folder(index({ a: "model-1-of-1.safetensors" }));
    await expect(openWeights(nodeFiles, missing)).rejects.toThrow(/model-1-of-1.safetensors: no such file/);
    await weights(`${missing}/model-1-of-1.safetensors`, { b: 1 });
    await expect(openWeights(nodeFiles, missing)).rejects.toThrow(/a tensor a as the index says/);
    await expect(openWeights(nodeFiles, folder(index({ a: "../x.safetensors" })))).rejects.toThrow(/beside it/);
    await expect(openWeights(nodeFiles, folder(index([1])))).rejects.toThrow(/beside it/);
    await expect(openWeights(nodeFiles, folder(index(undefined)))).rejects.toThrow(/weight_map/);
    await expect(openWeights(nodeFiles, folder({ "model.safetensors.index.json": "{" }))).rejects.toThrow(/JSON/);
    await expect(openWeights(nodeFiles, folder())).rejects.toThrow(/got neither/);
  });
});

describe("stop tokens", () => {
  const model = { eosTokenIds: [7], vocabSize: 200_000 };

  test.each<[unknown, number[]]>([
    [{ eos_token_id: [151645, 151643, 151645] }, [151645, 151643]],
    [{ eos_token_id: 0 }, [0]],
    [{ eos_token_id: null }, [7]],
    [{ eos_token_id: [] }, [7]],
    [{}, [7]],
  ])("%j", async (json, expected) => {
    expect(await stopTokenIds(nodeFiles, folder({ "generation_config.json": json }), model, null)).toEqual(expected);
  });

  test("without the file, the model's own, else the tokenizer's; the tokenizer's comes first of several", async () => {
    expect(await stopTokenIds(nodeFiles, folder(), model, { eosTokenId: 5 })).toEqual([7]);
    expect(await stopTokenIds(nodeFiles, folder(), { ...model, eosTokenIds: [] }, { eosTokenId: 5 })).toEqual([5]);
    expect(await stopTokenIds(nodeFiles, folder(), { ...model, eosTokenIds: [] }, null)).toEqual([]);
    const llama = folder({ "generation_config.json": { eos_token_id: [128001, 128008, 128009] } });
    expect(await stopTokenIds(nodeFiles, llama, model, { eosTokenId: 128009 })).toEqual([128009, 128001, 128008]);
    expect(await stopTokenIds(nodeFiles, llama, model, { eosTokenId: 3 })).toEqual([128001, 128008, 128009]);
  });

  test("what is none, or beyond the vocabulary, is refused", async () => {
    for (const json of ["{", "null", { eos_token_id: "</s>" }, { eos_token_id: [1, -1] }, { eos_token_id: 1.5 }])
      await expect(stopTokenIds(nodeFiles, folder({ "generation_config.json": json }), model, null)).rejects.toThrow(
        /generation_config.json: expected/,
      );
    await expect(stopTokenIds(nodeFiles, folder(), { ...model, vocabSize: 7 }, null)).rejects.toThrow(
      /expected stop tokens below vocab_size 7, got 7/,
    );
  });
});

test("of tied tensors saved under one name, the other is found too", async () => {
  const dir = folder();
  const data = () => Promise.resolve(new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer));
  const tensor = { name: "lm_head.weight", dtype: "F32", shape: [2, 2], data };
  await writeSafetensors(nodeFiles, `${dir}/model.safetensors`, [tensor], {
    "model.embed_tokens.weight": "lm_head.weight",
    format: "pt",
    nowhere: "no.such.weight",
  });
  const weights = await openWeights(nodeFiles, dir);
  expect(weights.shape("model.embed_tokens.weight")).toEqual([2, 2]);
  expect(await weights.readWeights("model.embed_tokens.weight")).toEqual(Float32Array.of(1, 2, 3, 4));
  expect(weights.names).not.toContain("nowhere");
  await expect(async () => weights.shape("nowhere")).rejects.toThrow(/none of that name/);
});
