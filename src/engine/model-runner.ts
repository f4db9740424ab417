import type { Scope } from "../gpu/gpu.ts";
import type { Recording } from "../gpu/recording.ts";
import { byteLength, elementCount, type Tensor } from "../gpu/tensor.ts";
import { attentionPaged } from "../kernels/attention.ts";
import { decodeStep, hasDecodeStep } from "../kernels/decode-step.ts";
import { kvCacheWrite } from "../kernels/kv-cache.ts";
import { linearLogits } from "../kernels/linear.ts";
import { logNormalizers, sampleTokens } from "../kernels/sample.ts";
import { layerForward, releaseActivations } from "../model/layer.ts";
import type { Model } from "../model/model.ts";
import { packing, packWeights } from "../model/packed-weights.ts";
import { embed, finalNorm } from "../model/transformer.ts";
import { paddedRows } from "./engine-size.ts";
import type { SamplingParams } from "./sampling-params.ts";
import type { Prefill } from "./scheduler.ts";
import type { Sequence } from "./sequence.ts";

/** Rows of one prefill pass: bounds its activations. */
export const PREFILL_ROWS = 2048;

/** Rows of tokens on the device: whose they are and where they stand. All u32 [R]. */
interface Rows {
  tokens: Tensor;
  positions: Tensor;
  /** Row of the block tables. */
  slots: Tensor;
  /** u32 [sequences, maxBlocks] */
  tables: Tensor;
}

/** A decode batch's state on the device, and its steps, recorded once for all batches of this size. */
interface DecodeBatch {
  /** What the recording depends on. */
  key: string;
  rows: Rows;
  /** u32 [R, 4], [R], [R] and [K]: see sampleTokens. */
  keys: Tensor;
  limits: Tensor;
  done: Tensor;
  stops: Tensor;
  /** u32 and f32 [steps, R] */
  outTokens: Tensor;
  outLogprobs: Tensor;
  recording: Recording;
}

/** Runs the model over the paged KV cache: prefill, and several decode steps recorded once and sent again and again. */
export class ModelRunner {
  readonly model: Model;
  readonly blockSize: number;
  /** Has the cache. */
  readonly #gpu: Scope;
  /** Has the rest, from `begin` to `end`. */
  #run: Scope;
  /** Blocks that the longest sequence may have: the width of the block tables. */
  readonly #maxBlocks: number;
  /** A block that belongs to no sequence: where the rows that fill up a batch keep their keys and values. */
  readonly #spareBlock: number;
  /** Of each layer, elem [at least (numBlocks + 1) * blockSize, G, D]; the decode step has all layers' in one. */
  readonly #caches: { kCache: Tensor; vCache: Tensor; firstBlock: number }[];
  readonly #hasDecodeStep: boolean;
  /** The weights as the decode step reads them, from `begin` to `end`. */
  #packed: ReturnType<typeof packWeights> | null = null;
  #batch: DecodeBatch | null = null;

  constructor(
    model: Model,
    { numBlocks, blockSize, maxLength }: { numBlocks: number; blockSize: number; maxLength: number },
  ) {
    this.model = model;
    this.blockSize = blockSize;
    this.#gpu = this.#run = model.gpu.scope();
    this.#maxBlocks = Math.ceil(maxLength / blockSize);
    this.#spareBlock = numBlocks;
    const { numLayers, numKvHeads, headDim } = model.config;
    const shape = (layers: number) => [layers * this.#layerBlocks * blockSize, numKvHeads, headDim];
    const caches = (layers: number) => ({
      kCache: this.#gpu.empty(shape(layers), model.storage),
      vCache: this.#gpu.empty(shape(layers), model.storage),
    });
    const largest = Math.max(elementCount(shape(numLayers)), packing(model).size);
    const fits = byteLength([largest], model.storage) <= this.#gpu.maxBindingSize;
    this.#hasDecodeStep = fits && !model.config.qkNorm && !model.base && hasDecodeStep(this.#gpu, model.config);
    try {
      const joint = this.#hasDecodeStep ? caches(numLayers) : null;
      this.#caches = Array.from({ length: numLayers }, (_, layer) =>
        joint ? { ...joint, firstBlock: layer * this.#layerBlocks } : { ...caches(1), firstBlock: 0 },
      );
    } catch (error) {
      this.#gpu.close();
      throw error;
    }
  }

  get #layerBlocks(): number {
    return this.#spareBlock + 1;
  }

  /**
   * Reads the weights, which must not change until `end`.
   *
   * @throws OutOfMemoryError where there is none for the KV cache
   */
  async begin(): Promise<void> {
    await this.#gpu.idle();
    this.#run = this.#gpu.scope();
    if (this.#hasDecodeStep) this.#packed = packWeights(this.#run.recorder(), this.model);
  }

  /** Gives back what is kept from `begin` on, and what a pass that failed has left. */
  end(): void {
    if (this.#run !== this.#gpu) this.#run.close();
    this.#run = this.#gpu;
    this.#packed = this.#batch = null;
  }

  /** Computes keys and values of the given ranges, in order: a later range may attend to an earlier one's blocks. */
  async prefill(prefills: readonly Prefill[]): Promise<void> {
    const rows: { sequence: Sequence; position: number }[] = [];
    for (const { sequence, start, end } of prefills) {
      for (let position = start; position < end; position++) rows.push({ sequence, position });
    }
    for (let first = 0; first < rows.length; first += PREFILL_ROWS) {
      const chunk = rows.slice(first, first + PREFILL_ROWS);
      const sequences = [...new Set(chunk.map((row) => row.sequence))];
      const slotOf = new Map(sequences.map((sequence, slot) => [sequence, slot]));
      const device: Rows = {
        tokens: this.#upload(chunk.map(({ sequence, position }) => sequence.tokenAt(position))),
        positions: this.#upload(chunk.map((row) => row.position)),
        slots: this.#upload(chunk.map((row) => slotOf.get(row.sequence)!)),
        tables: this.#tables(sequences),
      };
      const longest = chunk.reduce((max, row) => Math.max(max, row.position + 1), 1);
      this.#run.release(this.#forward(device, longest), ...Object.values(device));
      await this.#run.throttle();
    }
  }

  /**
   * Draws the next `steps` tokens of each sequence; the tokens go from step to step on the device. Row r of a step
   * belongs to sequences[r]; what follows a stop token or the length limit in its column means nothing.
   */
  async decode(
    sequences: readonly Sequence[],
    steps: number,
    params: SamplingParams,
  ): Promise<{ tokenIds: Uint32Array; logprobs: Float32Array }> {
    const gpu = this.#run;
    const longest = sequences.reduce((max, s) => Math.max(max, Math.min(s.length + steps, s.maxLength)), 1);
    const batch = this.#decodeBatch(paddedRows(sequences.length), steps, params, longest);
    this.#fill(batch, sequences, params);
    gpu.recorder().replay(batch.recording);
    const [tokenIds, logprobs] = await Promise.all([gpu.readU32(batch.outTokens), gpu.readF32(batch.outLogprobs)]);
    // Without the rows that fill up the batch.
    const { length: count } = sequences;
    const size = batch.limits.size;
    const ownRows = <A extends Uint32Array | Float32Array>(values: A): A =>
      values.filter((_, i) => i % size < count) as A;
    return { tokenIds: ownRows(tokenIds), logprobs: ownRows(logprobs) };
  }

  /** The batch of this size; the recording of another gives way to it. */
  #decodeBatch(size: number, steps: number, params: SamplingParams, longest: number): DecodeBatch {
    const gpu = this.#run;
    const rope = this.model.rope(longest);
    const { temperature, topK, topP, minP, stopTokenIds } = params;
    const key = [size, steps, temperature, topK, topP, minP, stopTokenIds.length, rope.allocation.id].join();
    if (this.#batch?.key === key) return this.#batch;
    this.#endDecoding();

    const perRow = () => gpu.empty([size], "u32");
    const rows = {
      tokens: perRow(),
      positions: perRow(),
      slots: perRow(),
      tables: gpu.empty([size, this.#maxBlocks], "u32"),
    };
    const state = {
      keys: gpu.empty([size, 4], "u32"),
      limits: perRow(),
      done: perRow(),
      stops: gpu.empty([Math.max(1, stopTokenIds.length)], "u32"),
      outTokens: gpu.empty([steps, size], "u32"),
      outLogprobs: gpu.empty([steps, size], "f32"),
    };
    const rec = gpu.recorder();
    const recording = rec.capture(() => {
      for (let step = 0; step < steps; step++) {
        const logits = this.#logits(rows, longest);
        const lse = logNormalizers(rec, { logits, temperature });
        const { tokens, positions } = rows;
        sampleTokens(rec, { logits, lse, ...state, tokens, positions, temperature, topK, topP, minP, step });
        gpu.release(logits, lse);
        rec.submit(); // the device works on a step while the next is encoded
      }
    });
    return (this.#batch = { key, rows, ...state, recording });
  }

  #fill({ rows, ...batch }: DecodeBatch, sequences: readonly Sequence[], { seed, stopTokenIds }: SamplingParams): void {
    const gpu = this.#run;
    const { size } = batch.limits;
    const perRow = (tensor: Tensor, of: (s: Sequence) => number, filler: number) =>
      gpu.write(
        tensor,
        Uint32Array.from({ length: size }, (_, r) => (r < sequences.length ? of(sequences[r]!) : filler)),
      );
    perRow(rows.tokens, (s) => s.tokenAt(s.length - 1), 0);
    perRow(rows.positions, (s) => s.length - 1, 0);
    gpu.write(
      rows.slots,
      Uint32Array.from({ length: size }, (_, r) => r),
    );
    const tables = new Uint32Array(size * this.#maxBlocks).fill(this.#spareBlock, sequences.length * this.#maxBlocks);
    sequences.forEach((s, r) => tables.set(s.blocks, r * this.#maxBlocks));
    gpu.write(rows.tables, tables);

    const keys = new Uint32Array(4 * size);
    sequences.forEach((s, r) => keys.set([seed >>> 0, Math.floor(seed / 2 ** 32), s.prompt.promptId, s.sample], 4 * r));
    gpu.write(batch.keys, keys);
    // A row that reaches its limit stands still, and so stays within its blocks.
    perRow(batch.limits, (s) => s.maxLength - 1, 0);
    perRow(batch.done, () => 0, 1);
    gpu.write(batch.stops, Uint32Array.from(stopTokenIds.length > 0 ? stopTokenIds : [0xffffffff]));
  }

  #endDecoding(): void {
    if (!this.#batch) return;
    const { rows, recording, key: _, ...state } = this.#batch;
    recording.dispose();
    this.#run.release(...Object.values(rows), ...Object.values(state));
    this.#batch = null;
  }

  dispose(): void {
    this.end();
    this.#gpu.close();
  }

  /** Logits of the rows of a decode step, f32 [R, V]; writes their keys and values to the cache. */
  #logits(rows: Rows, longest: number): Tensor {
    const { model, blockSize } = this;
    const { tokens, positions, tables } = rows;
    const rec = this.#run.recorder();
    const logits = this.#run.empty([tokens.size, model.config.vocabSize], "f32");
    if (this.#packed) {
      const { kCache, vCache } = this.#caches[0]!;
      const cache = { kCache, vCache, blockSize, layerBlocks: this.#layerBlocks };
      const rope = model.rope(longest);
      decodeStep(rec, model.config, { tokens, positions, tables, rope, ...this.#packed, ...cache, logits });
    } else {
      const x = this.#forward(rows, longest);
      linearLogits(rec, { x, weight: model.parameter(model.headName), row0: 0, rows: model.config.vocabSize, logits });
      this.#run.release(x);
    }
    return logits;
  }

  /** Final hidden states of the rows, f32 [R, C]; writes their keys and values to the cache. */
  #forward({ tokens, positions, slots, tables }: Rows, longest: number): Tensor {
    const { model, blockSize } = this;
    const rec = this.#run.recorder();
    const rope = model.rope(longest);
    const scale = 1 / Math.sqrt(model.config.headDim);
    let x = embed(rec, model, tokens);
    for (let layer = 0; layer < model.config.numLayers; layer++) {
      const cache = this.#caches[layer]!;
      const { output, activations } = layerForward(rec, model, layer, {
        input: x,
        positions,
        rope,
        attend: ({ q, k, v, out }) => {
          kvCacheWrite(rec, { k, v, positions, slots, tables, ...cache, blockSize });
          attentionPaged(rec, { q, ...cache, tables, slots, positions, out, blockSize, scale });
          return null;
        },
        isTraced: false,
      });
      releaseActivations(rec, activations);
      x = output;
    }
    const { hidden, rstd } = finalNorm(rec, model, x);
    this.#run.release(x, rstd);
    return hidden;
  }

  #upload(values: readonly number[]): Tensor {
    return this.#run.upload(Uint32Array.from(values), [values.length], "u32");
  }

  #tables(sequences: readonly Sequence[]): Tensor {
    const tables = new Uint32Array(sequences.length * this.#maxBlocks);
    sequences.forEach((sequence, slot) => tables.set(sequence.blocks, slot * this.#maxBlocks));
    return this.#run.upload(tables, [sequences.length, this.#maxBlocks], "u32");
  }
}
