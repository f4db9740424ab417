import type { Gpu } from "../gpu/gpu.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { attentionPaged } from "../kernels/attention.ts";
import { kvCacheWrite } from "../kernels/kv-cache.ts";
import { decodeLogits, sampleTokens } from "../kernels/sample.ts";
import { layerForward, releaseActivations } from "../model/layer.ts";
import type { Model } from "../model/model.ts";
import { embed, finalNorm } from "../model/transformer.ts";
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

/** Runs the model over the paged KV cache: prefill, and several decode steps to a submit. */
export class ModelRunner {
  readonly model: Model;
  readonly blockSize: number;
  readonly #gpu: Gpu;
  /** Blocks that the longest sequence may have: the width of the block tables. */
  readonly #maxBlocks: number;
  /** Per layer, elem [numBlocks * blockSize, G, D]. */
  readonly #caches: { kCache: Tensor; vCache: Tensor }[];

  constructor(
    model: Model,
    { numBlocks, blockSize, maxLength }: { numBlocks: number; blockSize: number; maxLength: number },
  ) {
    this.model = model;
    this.blockSize = blockSize;
    this.#gpu = model.gpu;
    this.#maxBlocks = Math.ceil(maxLength / blockSize);
    const shape = [numBlocks * blockSize, model.config.numKvHeads, model.config.headDim];
    this.#caches = Array.from({ length: model.config.numLayers }, () => ({
      kCache: this.#gpu.empty(shape, model.storage),
      vCache: this.#gpu.empty(shape, model.storage),
    }));
  }

  /** Computes keys and values of the given ranges, in order: a later range may attend to an earlier one's blocks. */
  prefill(prefills: readonly Prefill[]): void {
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
      this.#gpu.release(this.#forward(device, longest), ...Object.values(device));
    }
  }

  /**
   * Draws the next `steps` tokens of each sequence; the tokens go from step to step on the device. Row r of a step
   * belongs to sequences[r]; what follows a stop token or the length limit in its column means nothing.
   */
  async decode(
    sequences: readonly Sequence[],
    steps: number,
    { temperature, topK, topP, seed, stopTokenIds }: SamplingParams,
  ): Promise<{ tokenIds: Uint32Array; logprobs: Float32Array }> {
    const gpu = this.#gpu;
    const rec = gpu.recorder();
    const count = sequences.length;
    const rows: Rows = {
      tokens: this.#upload(sequences.map((s) => s.tokenAt(s.length - 1))),
      positions: this.#upload(sequences.map((s) => s.length - 1)),
      slots: this.#upload(sequences.map((_, slot) => slot)),
      tables: this.#tables(sequences),
    };
    const keys = new Uint32Array(4 * count);
    sequences.forEach((s, r) => keys.set([seed >>> 0, Math.floor(seed / 2 ** 32), s.prompt.promptId, s.sample], 4 * r));
    const state = {
      keys: gpu.upload(keys, [count, 4], "u32"),
      // A row that reaches its limit stands still, and so stays within its blocks.
      limits: this.#upload(sequences.map((s) => s.maxLength - 1)),
      done: gpu.zeros([count], "u32"),
      stops: this.#upload(stopTokenIds.length > 0 ? stopTokenIds : [0xffffffff]),
      outTokens: gpu.empty([steps, count], "u32"),
      outLogprobs: gpu.empty([steps, count], "f32"),
    };
    const longest = sequences.reduce((max, s) => Math.max(max, Math.min(s.length + steps, s.maxLength)), 1);
    for (let step = 0; step < steps; step++) {
      const hidden = this.#forward(rows, longest);
      const logits = decodeLogits(rec, {
        hidden,
        weight: this.model.parameter(this.model.headName),
        temperature: temperature === 0 ? 1 : temperature,
      });
      sampleTokens(rec, {
        ...logits,
        ...state,
        tokens: rows.tokens,
        positions: rows.positions,
        temperature,
        topK,
        topP,
        step,
      });
      gpu.release(hidden, ...Object.values(logits));
      rec.submit(); // the device works on this step while the next is recorded
    }
    const [tokenIds, logprobs] = await Promise.all([gpu.readU32(state.outTokens), gpu.readF32(state.outLogprobs)]);
    gpu.release(...Object.values(rows), ...Object.values(state));
    return { tokenIds, logprobs };
  }

  dispose(): void {
    for (const cache of this.#caches) this.#gpu.release(cache.kCache, cache.vCache);
  }

  /** Final hidden states of the rows, f32 [R, C]; writes their keys and values to the cache. */
  #forward({ tokens, positions, slots, tables }: Rows, longest: number): Tensor {
    const { model, blockSize } = this;
    const rec = this.#gpu.recorder();
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
      });
      releaseActivations(rec, activations);
      x = output;
    }
    const { hidden, rstd } = finalNorm(rec, model, x);
    this.#gpu.release(x, rstd);
    return hidden;
  }

  #upload(values: readonly number[]): Tensor {
    return this.#gpu.upload(Uint32Array.from(values), [values.length], "u32");
  }

  #tables(sequences: readonly Sequence[]): Tensor {
    const tables = new Uint32Array(sequences.length * this.#maxBlocks);
    sequences.forEach((sequence, slot) => tables.set(sequence.blocks, slot * this.#maxBlocks));
    return this.#gpu.upload(tables, [sequences.length, this.#maxBlocks], "u32");
  }
}
