import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ShapeError } from "../../src/errors.ts";
import { embeddingBackward, embeddingForward, linkOccurrences } from "../../src/kernels/embedding.ts";
import * as twin from "../../src/reference/embedding.ts";
import { expectClose, f64, guarded, randn, stored, STORAGES, testGpu } from "../helpers/gpu.ts";

test("the lists visit every occurrence once, in order", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(9), { maxLength: 60 }), (tokens) => {
      const ids = new Uint32Array(tokens);
      const links = linkOccurrences(ids);
      const lists = new Map<number, number[]>();
      links.forEach((link, start) => {
        if (!(link & 0x80000000)) return;
        const list: number[] = [];
        for (let t = start; t !== 0x7fffffff; t = links[t]! & 0x7fffffff) list.push(t);
        expect(lists.has(ids[start]!)).toBe(false);
        lists.set(ids[start]!, list);
      });
      const want = Map.groupBy(tokens.keys(), (t) => tokens[t]!);
      expect(lists).toEqual(want);
    }),
  );
});

describe.each(STORAGES)("embedding in %s", (storage) => {
  test.each([
    { tokens: 1, columns: 2, vocabulary: 1 },
    { tokens: 50, columns: 22, vocabulary: 13 },
    { tokens: 33, columns: 64, vocabulary: 101 },
  ])("$tokens tokens, $vocabulary x $columns", async ({ tokens, columns, vocabulary }) => {
    const gpu = await testGpu();
    const rec = gpu.recorder();
    const tokenIds = Uint32Array.from({ length: tokens }, (_, t) => (t * t * 7) % vocabulary);
    const weight = stored(randn(1, vocabulary * columns), storage);
    const dout = randn(2, tokens * columns);
    const ids = gpu.upload(tokenIds, [tokens], "u32");

    const out = guarded(gpu, [tokens, columns], "f32");
    embeddingForward(rec, { ids, weight: gpu.upload(weight, [vocabulary, columns], storage), out: out.tensor });
    const want = twin.embeddingForward({ ids: tokenIds, weight: f64(weight), columns });
    expect(f64(await gpu.readF32(out.tensor))).toEqual(want); // copied, not computed
    await out.expectUntouched();

    const links = gpu.upload(linkOccurrences(tokenIds), [tokens], "u32");
    const dweight = guarded(gpu, [vocabulary, columns], "f32");
    gpu.write(dweight.tensor, new Float32Array(vocabulary * columns).fill(0.5));
    embeddingBackward(rec, { ids, links, dout: gpu.upload(dout, [tokens, columns], "f32"), dweight: dweight.tensor });
    const wantGrad = twin.embeddingBackward({ ids: tokenIds, dout: f64(dout), columns, vocabulary });
    expectClose(
      await gpu.readF32(dweight.tensor),
      wantGrad.map((v) => v + 0.5),
      { rtol: 1e-6, atol: 2e-6 },
    );
    await dweight.expectUntouched();
  });
});

test("shapes that do not fit are named", async () => {
  const gpu = await testGpu();
  const tensors = { ids: gpu.zeros([3], "u32"), weight: gpu.zeros([5, 4], "f32"), out: gpu.zeros([2, 4], "f32") };
  expect(() => embeddingForward(gpu.recorder(), tensors)).toThrow(ShapeError);
});
