import type { Gpu, Scope } from "../gpu/gpu.ts";
import type { Recording } from "../gpu/recording.ts";
import { handOver } from "../gpu/split-gpu.ts";
import { byteLength, elementCount, type Tensor } from "../gpu/tensor.ts";
import { attentionPaged } from "../kernels/attention.ts";
import { decodeStep, hasDecodeStep } from "../kernels/decode-step.ts";
import { kvCacheWrite } from "../kernels/kv-cache.ts";
import { linearLogits } from "../kernels/linear.ts";
import { logNormalizers, sampleTokens } from "../kernels/sample.ts";
import { layerForward, releaseActivations } from "../model/layer.ts";
import { deviceOf, EMBEDDING, type Model } from "../model/model.ts";
import { packing, packWeights } from "../model/packed-weights.ts";
import { embed, finalNorm } from "../model/transformer.ts";
import { paddedRows } from "./engine-size.ts";
import type { SamplingParams } from "./sampling-params.ts";
import type { Prefill } from "./scheduler.ts";
import type { Sequence } from "./sequence.ts";

/** Rows of one prefill pass: bounds its activations. */
export const PREFILL_ROWS = 2048;

/** Rows of tokens on a device: whose they are and where they stand. All u32 [R]. */
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
  /** On each device; on the last, tokens are drawn. */
  rows: readonly Rows[];
  /** u32 [R, 4], [R], [R] and [K]: see sampleTokens. */
  keys: Tensor;
  limits: Tensor;
  done: Tensor;
  stops: Tensor;
  /** u32 and f32 [steps, R] */
  outTokens: Tensor;
  outLogprobs: Tensor;
  /** Null where layers are on several devices, between which the host goes. */
  recording: Recording | null;
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
    const caches = (layers: number, gpu: Gpu) => ({
      kCache: gpu.empty(shape(layers), model.storage),
      vCache: gpu.empty(shape(layers), model.storage),
    });
    const largest = Math.max(elementCount(shape(numLayers)), packing(model).size);
    const fits = byteLength([largest], model.storage) <= this.#gpu.maxBindingSize;
    const isPlain = !model.config.qkNorm && !model.base && !this.#isSplit;
    this.#hasDecodeStep = fits && isPlain && hasDecodeStep(this.#gpu, model.config);
    try {
      const joint = this.#hasDecodeStep ? caches(numLayers, this.#gpu) : null;
      this.#caches = Array.from({ length: numLayers }, (_, layer) =>
        joint
          ? { ...joint, firstBlock: layer * this.#layerBlocks }
          : { ...caches(1, this.#gpu.at(layer)), firstBlock: 0 },
      );
    } catch (error) {
      this.#gpu.close();
      throw error;
    }
  }

  get #isSplit(): boolean {
    return this.#gpu.devices.length > 1;
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
      const host = {
        tokens: Uint32Array.from(chunk, ({ sequence, position }) => sequence.tokenAt(position)),
        positions: Uint32Array.from(chunk, (row) => row.position),
        slots: Uint32Array.from(chunk, (row) => slotOf.get(row.sequence)!),
      };
      const parts = this.#run.devices.map((gpu): Rows => {
        const upload = (values: Uint32Array) => gpu.upload(values, [values.length], "u32");
        const [tokens, positions, slots] = [upload(host.tokens), upload(host.positions), upload(host.slots)];
        return { tokens, positions, slots, tables: this.#tables(gpu, sequences) };
      });
      const longest = chunk.reduce((max, row) => Math.max(max, row.position + 1), 1);
      const hidden = this.#isSplit ? await this.#forwardAcross(parts, longest) : this.#forward(parts[0]!, longest);
      this.#run.release(hidden, ...parts.flatMap((part) => Object.values(part)));
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
    if (batch.recording) gpu.recorder().replay(batch.recording);
    else for (let step = 0; step < steps; step++) await this.#decodeAcross(batch, step, params, longest);
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
    const { stopTokenIds, temperature, topK, topP, minP } = params;
    const key = [size, steps, temperature, topK, topP, minP, stopTokenIds.length, rope.allocation.id].join();
    if (this.#batch?.key === key) return this.#batch;
    this.#endDecoding();

    const perRow = (on: Gpu) => on.empty([size], "u32");
    const rows = gpu.devices.map((on) => ({
      tokens: perRow(on),
      positions: perRow(on),
      slots: perRow(on),
      tables: on.empty([size, this.#maxBlocks], "u32"),
    }));
    const state = {
      keys: gpu.empty([size, 4], "u32"),
      limits: perRow(gpu),
      done: perRow(gpu),
      stops: gpu.empty([Math.max(1, stopTokenIds.length)], "u32"),
      outTokens: gpu.empty([steps, size], "u32"),
      outLogprobs: gpu.empty([steps, size], "f32"),
    };
    const batch = { key, rows, ...state };
    const capture = () =>
      gpu.recorder().capture(() => {
        for (let step = 0; step < steps; step++) this.#draw(batch, step, params, this.#logits(rows[0]!, longest));
      });
    return (this.#batch = { ...batch, recording: this.#isSplit ? null : capture() });
  }

  /** Draws a token for each row, with which the rows go on. Releases the logits. */
  #draw(
    { rows, ...state }: Omit<DecodeBatch, "recording">,
    step: number,
    { temperature, topK, topP, minP }: SamplingParams,
    logits: Tensor,
  ): void {
    const rec = this.#run.recorder();
    const lse = logNormalizers(rec, { logits, temperature });
    const { tokens, positions } = rows.at(-1)!;
    sampleTokens(rec, { logits, lse, ...state, tokens, positions, temperature, topK, topP, minP, step });
    this.#run.release(logits, lse);
    rec.submit(); // the device works on a step while the next is encoded
  }

  /** A decode step over several devices, all of whose rows go on. */
  async #decodeAcross(batch: DecodeBatch, step: number, params: SamplingParams, longest: number): Promise<void> {
    const gpu = this.#run;
    this.#draw(batch, step, params, this.#head(await this.#forwardAcross(batch.rows, longest)));
    const { tokens, positions } = batch.rows.at(-1)!;
    const [drawn, places] = await Promise.all([gpu.readU32(tokens), gpu.readU32(positions)]);
    for (const other of batch.rows.slice(0, -1)) {
      gpu.write(other.tokens, drawn);
      gpu.write(other.positions, places);
    }
  }

  #fill({ rows, ...batch }: DecodeBatch, sequences: readonly Sequence[], { seed, stopTokenIds }: SamplingParams): void {
    const gpu = this.#run;
    const { size } = batch.limits;
    const perRow = (tensor: Tensor, of: (s: Sequence) => number, filler: number) =>
      gpu.write(
        tensor,
        Uint32Array.from({ length: size }, (_, r) => (r < sequences.length ? of(sequences[r]!) : filler)),
      );
    const slots = Uint32Array.from({ length: size }, (_, r) => r);
    const tables = new Uint32Array(size * this.#maxBlocks).fill(this.#spareBlock, sequences.length * this.#maxBlocks);
    sequences.forEach((s, r) => tables.set(s.blocks, r * this.#maxBlocks));
    for (const part of rows) {
      perRow(part.tokens, (s) => s.tokenAt(s.length - 1), 0);
      perRow(part.positions, (s) => s.length - 1, 0);
      gpu.write(part.slots, slots);
      gpu.write(part.tables, tables);
    }

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
    recording?.dispose();
    this.#run.release(...rows.flatMap((part) => Object.values(part)), ...Object.values(state));
    this.#batch = null;
  }

  dispose(): void {
    this.end();
    this.#gpu.close();
  }

  /** Logits of the rows of a decode step on one device, f32 [R, V]; writes their keys and values to the cache. */
  #logits(rows: Rows, longest: number): Tensor {
    const { model, blockSize } = this;
    if (!this.#packed) return this.#head(this.#forward(rows, longest));
    const logits = this.#run.empty([rows.tokens.size, model.config.vocabSize], "f32");
    const { kCache, vCache } = this.#caches[0]!;
    const cache = { kCache, vCache, blockSize, layerBlocks: this.#layerBlocks };
    const rope = model.rope(longest);
    decodeStep(this.#run.recorder(), model.config, { ...rows, rope, ...this.#packed, ...cache, logits });
    return logits;
  }

  /** Logits of final hidden states, f32 [R, V]. Releases these. */
  #head(x: Tensor): Tensor {
    const { config, headName } = this.model;
    const logits = this.#run.empty([x.shape[0]!, config.vocabSize], "f32");
    const weight = this.model.parameter(headName);
    linearLogits(this.#run.recorder(), { x, weight, row0: 0, rows: config.vocabSize, logits });
    this.#run.release(x);
    return logits;
  }

  /** Final hidden states of the rows on one device, f32 [R, C]; writes their keys and values to the cache. */
  #forward(rows: Rows, longest: number): Tensor {
    let x = embed(this.#run.recorder(), this.model, rows.tokens);
    for (let layer = 0; layer < this.model.config.numLayers; layer++)
      x = this.#layer(this.#run, layer, rows, x, longest);
    return this.#norm(x);
  }

  /** The same over several devices, on the last of them. */
  async #forwardAcross(rows: readonly Rows[], longest: number): Promise<Tensor> {
    const { devices } = this.#run;
    let here = deviceOf(this.#run, this.model.config, EMBEDDING);
    let x = embed(here.recorder(), this.model, rows[devices.indexOf(here)]!.tokens);
    for (let layer = 0; layer < this.model.config.numLayers; layer++) {
      const next = this.#run.at(layer);
      x = await handOver(x, here, next);
      here = next;
      x = this.#layer(here, layer, rows[devices.indexOf(here)]!, x, longest);
    }
    return this.#norm(x);
  }

  #norm(x: Tensor): Tensor {
    const { hidden, rstd } = finalNorm(this.#run.recorder(), this.model, x);
    this.#run.release(x, rstd);
    return hidden;
  }

  /** The residual stream after a layer, f32 [R, C]. Releases the one before it. */
  #layer(gpu: Gpu, layer: number, { positions, slots, tables }: Rows, input: Tensor, longest: number): Tensor {
    const { model, blockSize } = this;
    const rec = gpu.recorder();
    const scale = 1 / Math.sqrt(model.config.headDim);
    const cache = this.#caches[layer]!;
    const { output, activations } = layerForward(rec, model, layer, {
      input,
      positions,
      rope: model.rope(longest, layer),
      attend: ({ q, k, v, out }) => {
        kvCacheWrite(rec, { k, v, positions, slots, tables, ...cache, blockSize });
        attentionPaged(rec, { q, ...cache, tables, slots, positions, out, blockSize, scale });
        return null;
      },
      isTraced: false,
    });
    releaseActivations(rec, activations);
    return output;
  }

  #tables(gpu: Gpu, sequences: readonly Sequence[]): Tensor {
    const tables = new Uint32Array(sequences.length * this.#maxBlocks);
    sequences.forEach((sequence, slot) => tables.set(sequence.blocks, slot * this.#maxBlocks));
    return gpu.upload(tables, [sequences.length, this.#maxBlocks], "u32");
  }
}
