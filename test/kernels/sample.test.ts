import { describe, expect, test } from "vitest";
import { ShapeError } from "../../src/errors.ts";
import { linearLogits } from "../../src/kernels/linear.ts";
import { logprobForward, VOCAB_CHUNK } from "../../src/kernels/logprob.ts";
import { logNormalizers, sampleThresholds, sampleTokens } from "../../src/kernels/sample.ts";
import { logSumExp } from "../../src/reference/logprob.ts";
import * as twin from "../../src/reference/sample.ts";
import { expectClose, f64, guarded, randn, STORAGES, testGpu } from "../helpers/gpu.ts";
import { draw, keysOf, PLAIN } from "../helpers/sample.ts";

describe("draws", () => {
  // Around the lanes' 4 tokens, their workgroup's 256 and the chunks.
  test.each([
    { rows: 1, vocabulary: 1, options: PLAIN },
    { rows: 300, vocabulary: 3, options: PLAIN },
    { rows: 300, vocabulary: 121, options: PLAIN },
    { rows: 40, vocabulary: 257, options: PLAIN },
    { rows: 20, vocabulary: 2 * VOCAB_CHUNK + 1, options: PLAIN },
    { rows: 300, vocabulary: 121, options: { temperature: 1, topK: 5, topP: 1 } },
    { rows: 300, vocabulary: 121, options: { temperature: 1, topK: 0, topP: 0.8 } },
    { rows: 40, vocabulary: VOCAB_CHUNK + 99, options: { temperature: 1, topK: 700, topP: 0.9 } },
    { rows: 300, vocabulary: 121, options: { temperature: 1, topK: 0, topP: 1, minP: 0.3 } },
    { rows: 40, vocabulary: VOCAB_CHUNK + 99, options: { temperature: 0, topK: 3, topP: 0.5 } },
  ])("$rows rows of $vocabulary tokens, $options", async ({ rows, vocabulary, options }) => {
    const gpu = await testGpu();
    const z = randn(rows + vocabulary, rows * vocabulary, 2);
    const keys = keysOf(rows);
    const positions = Uint32Array.from({ length: rows }, (_, r) => 17 * r);
    const { tokens, logprobs } = await draw(gpu, z, { keys, positions, ...options });

    const wantLogprobs = new Float64Array(rows);
    const wrong: string[] = [];
    for (let r = 0; r < rows; r++) {
      const row = f64(z.subarray(r * vocabulary, (r + 1) * vocabulary));
      const greedy = options.temperature === 0;
      const kept = twin.keptTokens({ z: row, ...(greedy ? PLAIN : options) });
      const scores = twin.scores({ z: row, greedy, key: keys.subarray(4 * r, 4 * r + 4), position: positions[r]! });
      const want = twin.pickToken(scores, kept);
      const got = tokens[r]!;
      // Two scores closer than float32 can tell apart are both right.
      const right = got === want || (kept[got] && scores[want]! - scores[got]! < 1e-5);
      if (!right) wrong.push(`row ${r}: expected ${want}, got ${got}`);
      wantLogprobs[r] = row[got]! - logSumExp(row);
    }
    expect(wrong).toEqual([]);
    if (vocabulary > 1) expectClose(logprobs, wantLogprobs, { rtol: 1e-6, atol: 2e-6 });
    else expect(Array.from(logprobs)).toEqual([0]);
  });

  test("greedy takes the lowest of equals, wherever they lie", async () => {
    const gpu = await testGpu();
    const vocabulary = VOCAB_CHUNK + 300;
    const ties = [
      [5, 6],
      [3, 259],
      [250, 1023, 1024],
      [VOCAB_CHUNK - 1, VOCAB_CHUNK],
      [VOCAB_CHUNK + 9, VOCAB_CHUNK + 299],
    ];
    const z = new Float32Array(ties.length * vocabulary).fill(-1);
    ties.forEach((tokens, r) => tokens.forEach((token) => (z[r * vocabulary + token] = 2)));
    const positions = new Uint32Array(ties.length);
    const { tokens } = await draw(gpu, z, { ...PLAIN, temperature: 0, keys: keysOf(ties.length), positions });
    expect(Array.from(tokens)).toEqual(ties.map((row) => row[0]));
  });

  test("a row draws the same alone and in a batch", async () => {
    const gpu = await testGpu();
    const [rows, vocabulary] = [50, 121];
    const z = randn(9, rows * vocabulary);
    const options = { ...PLAIN, topP: 0.9 };
    const keys = keysOf(rows);
    const positions = Uint32Array.from({ length: rows }, (_, r) => r);
    const whole = await draw(gpu, z, { ...options, keys, positions });
    for (const r of [0, 13, 49]) {
      const alone = await draw(gpu, z.slice(r * vocabulary, (r + 1) * vocabulary), {
        ...options,
        keys: keys.slice(4 * r, 4 * r + 4),
        positions: positions.slice(r, r + 1),
      });
      expect(alone.tokens[0]).toBe(whole.tokens[r]);
      expect(alone.logprobs[0]).toBe(whole.logprobs[r]);
    }
  });
});

describe("a row with a logit that is not finite has a NaN for its log-probability, and no other row", () => {
  test.each([
    { value: NaN, options: PLAIN },
    { value: Infinity, options: PLAIN },
    { value: -Infinity, options: PLAIN },
    { value: NaN, options: { temperature: 0, topK: 0, topP: 1 } },
    { value: -Infinity, options: { temperature: 1, topK: 3, topP: 0.5 } },
    { value: NaN, options: { ...PLAIN, minP: 0.1 } },
  ])("$value, $options", async ({ value, options }) => {
    const gpu = await testGpu();
    const vocabulary = 2 * VOCAB_CHUNK + 3;
    const places = [0, 3, 255, 256, VOCAB_CHUNK, 2 * VOCAB_CHUNK + 2];
    const rows = places.length + 1;
    const keys = keysOf(rows);
    const positions = new Uint32Array(rows).fill(5);
    const z = randn(3, rows * vocabulary, 2);
    const sound = await draw(gpu, z, { keys, positions, ...options });
    places.forEach((place, row) => (z[row * vocabulary + place] = value));
    const { tokens, logprobs } = await draw(gpu, z, { keys, positions, ...options });
    expect(Array.from(logprobs, Number.isNaN)).toEqual([...places.map(() => true), false]);
    expect(Array.from(tokens)).toEqual([...places.map(() => 0), sound.tokens[rows - 1]]);
    expect(logprobs[rows - 1]).toBe(sound.logprobs[rows - 1]);
  });
});

describe("top-k, top-p and min-p", () => {
  const orderedBits = (value: number) => {
    const bits = new Uint32Array(Float32Array.of(value).buffer)[0]!;
    return bits >= 0x80000000 ? ~bits >>> 0 : (bits | 0x80000000) >>> 0;
  };

  test.each([
    { topK: 1, topP: 1 },
    { topK: 7, topP: 1 },
    { topK: 3000, topP: 1 },
    { topK: 0, topP: 1e-6 },
    { topK: 0, topP: 0.5 },
    { topK: 0, topP: 0.999 },
    { topK: 50, topP: 0.3 },
    { topK: 0, topP: 1, minP: 1e-30 },
    { topK: 0, topP: 1, minP: 0.2 },
    { topK: 0, topP: 1, minP: 1 },
    { topK: 50, topP: 0.9, minP: 0.07 },
  ])("keep the twin's tokens: $topK, $topP, $minP", async (options) => {
    const gpu = await testGpu();
    const [rows, vocabulary] = [9, 733];
    const spread = [0.1, 1, 5];
    // The last rows are rounded, so that ties are many, one of them at every threshold.
    const z = randn(11, rows * vocabulary).map((v, i) => {
      const r = Math.floor(i / vocabulary);
      return r < 6 ? spread[r % 3]! * v : Math.round(v * 2) / 2;
    });
    const rowOf = (r: number) => f64(z.subarray(r * vocabulary, (r + 1) * vocabulary));
    const lse = Float32Array.from({ length: rows }, (_, r) => logSumExp(rowOf(r)));
    const thresholds = guarded(gpu, [rows], "u32");
    sampleThresholds(gpu.recorder(), {
      logits: gpu.upload(z, [rows, vocabulary], "f32"),
      lse: gpu.upload(lse, [rows], "f32"),
      thresholds: thresholds.tensor,
      ...options,
    });
    const got = await gpu.readU32(thresholds.tensor);
    await thresholds.expectUntouched();
    for (let r = 0; r < rows; r++) {
      const kept = Array.from(rowOf(r), (value) => orderedBits(value) >= got[r]!);
      expect(kept, `row ${r}`).toEqual(twin.keptTokens({ z: rowOf(r), ...options }));
    }
  });
});

describe("decode state", () => {
  test("rows advance until a stop token or their limit, and then stand still", async () => {
    const gpu = await testGpu();
    const [rows, vocabulary, steps] = [70, 5, 8];
    const stops = [1, 4];
    const keys = keysOf(rows);
    const limits = Uint32Array.from({ length: rows }, (_, r) => 12 + (r % 7));
    const start = Uint32Array.from({ length: rows }, (_, r) => 8 + (r % 3));
    const state = {
      keys: gpu.upload(keys, [rows, 4], "u32"),
      limits: gpu.upload(limits, [rows], "u32"),
      stops: gpu.upload(Uint32Array.from(stops), [stops.length], "u32"),
    };
    const updated = {
      tokens: guarded(gpu, [rows], "u32"),
      positions: guarded(gpu, [rows], "u32"),
      done: guarded(gpu, [rows], "u32"),
    };
    gpu.write(updated.tokens.tensor, new Uint32Array(rows).fill(99));
    gpu.write(updated.positions.tensor, start);
    gpu.write(
      updated.done.tensor,
      new Uint32Array(rows).map((_, r) => (r === 5 ? 1 : 0)),
    );
    const outTokens = gpu.empty([steps, rows], "u32");
    const outLogprobs = gpu.empty([steps, rows], "f32");

    const want = Array.from({ length: rows }, (_, r) => ({ token: 99, position: start[r]!, done: r === 5 }));
    const wantTokens: number[] = [];
    for (let step = 0; step < steps; step++) {
      const z = randn(step, rows * vocabulary);
      const lse = gpu.zeros([rows], "f32");
      sampleTokens(gpu.recorder(), {
        logits: gpu.upload(z, [rows, vocabulary], "f32"),
        lse,
        ...state,
        tokens: updated.tokens.tensor,
        positions: updated.positions.tensor,
        done: updated.done.tensor,
        outTokens,
        outLogprobs,
        ...PLAIN,
        step,
      });
      for (let r = 0; r < rows; r++) {
        const row = f64(z.subarray(r * vocabulary, (r + 1) * vocabulary));
        const key = keys.subarray(4 * r, 4 * r + 4);
        const scores = twin.scores({ z: row, greedy: false, key, position: want[r]!.position });
        const drawn = twin.pickToken(
          scores,
          Array.from({ length: vocabulary }, () => true),
        );
        wantTokens.push(drawn);
        want[r] = twin.advance(want[r]!, { drawn, stops, limit: limits[r]! });
      }
    }
    expect(Array.from(await gpu.readU32(outTokens))).toEqual(wantTokens);
    expect(Array.from(await gpu.readU32(updated.tokens.tensor))).toEqual(want.map((row) => row.token));
    expect(Array.from(await gpu.readU32(updated.positions.tensor))).toEqual(want.map((row) => row.position));
    expect(Array.from(await gpu.readU32(updated.done.tensor))).toEqual(want.map((row) => (row.done ? 1 : 0)));
    expect(want.filter((row) => !row.done).length).toBeLessThan(rows);
    for (const { expectUntouched } of Object.values(updated)) await expectUntouched();
  });
});

describe.each(STORAGES)("sampler and trainer in %s", (storage) => {
  test.each([
    { inputs: 8, vocabulary: 121, temperature: 1 },
    { inputs: 8, vocabulary: 121, temperature: 0.7 },
    { inputs: 6, vocabulary: 2 * VOCAB_CHUNK + 31, temperature: 0.6 },
  ])("give the same bits for $inputs -> $vocabulary at $temperature", async ({ inputs, vocabulary, temperature }) => {
    const gpu = await testGpu();
    const rec = gpu.recorder();
    const [rows, batch] = [5, 70]; // the sampler's rows are among many more in the trainer
    const hidden = randn(1, batch * inputs);
    const weight = gpu.upload(randn(2, vocabulary * inputs), [vocabulary, inputs], storage);
    const first = 31;
    const x = gpu.upload(hidden.slice(first * inputs, (first + rows) * inputs), [rows, inputs], "f32");
    const logits = gpu.empty([rows, vocabulary], "f32");
    linearLogits(rec, { x, weight, row0: 0, rows: vocabulary, logits });
    const lse = logNormalizers(rec, { logits, temperature });
    const outTokens = gpu.empty([1, rows], "u32");
    const outLogprobs = gpu.empty([1, rows], "f32");
    sampleTokens(rec, {
      logits,
      lse,
      keys: gpu.upload(keysOf(rows), [rows, 4], "u32"),
      limits: gpu.upload(new Uint32Array(rows).fill(100), [rows], "u32"),
      stops: gpu.zeros([1], "u32"),
      tokens: gpu.zeros([rows], "u32"),
      positions: gpu.zeros([rows], "u32"),
      done: gpu.zeros([rows], "u32"),
      outTokens,
      outLogprobs,
      temperature,
      topK: 40,
      topP: 0.95,
      step: 0,
    });
    const tokens = await gpu.readU32(outTokens);
    const targets = new Uint32Array(batch);
    targets.set(tokens, first);
    const trainer = {
      logprob: gpu.empty([batch], "f32"),
      lse: gpu.empty([batch], "f32"),
      entropy: gpu.empty([batch], "f32"),
    };
    logprobForward(rec, {
      hidden: gpu.upload(hidden, [batch, inputs], "f32"),
      weight,
      targets: gpu.upload(targets, [batch], "u32"),
      temperature,
      ...trainer,
    });
    const rowsOf = (values: Float32Array) => Array.from(values.subarray(first, first + rows));
    expect(Array.from(await gpu.readF32(lse))).toEqual(rowsOf(await gpu.readF32(trainer.lse)));
    expect(Array.from(await gpu.readF32(outLogprobs))).toEqual(rowsOf(await gpu.readF32(trainer.logprob)));
  });
});

test("shapes that do not fit are named", async () => {
  const gpu = await testGpu();
  const rows = (dtype: "f32" | "u32") => gpu.zeros([3], dtype);
  const tensors = {
    logits: gpu.zeros([3, 7], "f32"),
    lse: rows("f32"),
    keys: gpu.zeros([3, 4], "u32"),
    limits: rows("u32"),
    stops: gpu.zeros([1], "u32"),
    tokens: rows("u32"),
    positions: rows("u32"),
    done: rows("u32"),
    outTokens: gpu.zeros([2, 3], "u32"),
    outLogprobs: gpu.zeros([2, 3], "f32"),
    ...PLAIN,
    step: 0,
  };
  const rec = gpu.recorder();
  expect(() => sampleTokens(rec, { ...tensors, keys: gpu.zeros([3, 2], "u32") })).toThrow(/sample:.*keys \[3,2\]/);
  expect(() => sampleTokens(rec, { ...tensors, step: 2 })).toThrow(ShapeError);
  const thresholds = gpu.zeros([4], "u32");
  expect(() => sampleThresholds(rec, { ...tensors, thresholds })).toThrow(/sample_threshold.*thresholds \[4\]/);
});
