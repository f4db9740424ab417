import { BindGroups } from "./bind-groups.ts";
import { judged, type Failures } from "./failures.ts";
import { Pace } from "./pace.ts";
import type { Command, CommandList } from "./recording.ts";
import type { Timer } from "./timer.ts";

const PARAMS_STRIDE = 256;
const PARAMS_SLOTS = 1024;

/** The parameters of the dispatches of one submit, in the order in which these were recorded. */
export class Params {
  readonly words = new Uint32Array((PARAMS_SLOTS * PARAMS_STRIDE) / 4);
  readonly floats = new Float32Array(this.words.buffer);
  slots = 0;

  get isFull(): boolean {
    return this.slots === PARAMS_SLOTS;
  }

  get bytes(): number {
    return this.slots * PARAMS_STRIDE;
  }

  /** The offset of the next slot, in bytes. */
  next(): number {
    return this.slots++ * PARAMS_STRIDE;
  }

  set({ params }: CommandList): void {
    this.words.set(params);
    this.slots = (4 * params.length) / PARAMS_STRIDE;
  }
}

/**
 * What a device is sent: one encoder is open at a time, and its commands are one job's. Another job's first command sends what the
 * one before it has recorded, so that all of them are done in the order in which they were recorded. Parameters lie in one uniform
 * buffer that is written once a submit, so a bind group is a function of its tensors alone and is found again when the same step
 * is recorded again, by whichever job.
 */
export class CommandStream {
  readonly device: GPUDevice;
  readonly params = new Params();
  readonly pace = new Pace();
  readonly bindGroups = new BindGroups();
  readonly paramsBuffer: GPUBuffer;
  timer: Timer | null = null;
  /** Whether work is being captured, which may use buffers that are free. */
  isCapturing = false;
  #owner: Failures | null = null;
  #encoder: GPUCommandEncoder | null = null;
  #pass: GPUComputePassEncoder | null = null;
  /** Of the pass. */
  #lastPipeline: GPUComputePipeline | null = null;
  #bytes = 0;
  #dispatches = 0;
  readonly #offsets = [0];

  constructor(device: GPUDevice) {
    this.device = device;
    this.paramsBuffer = device.createBuffer({
      label: "params",
      size: this.params.words.byteLength,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    });
  }

  /** Sends what is another's, or long enough, before a command of `owner`. Whether that begins a submit. */
  prepare(owner: Failures): boolean {
    if (this.#owner !== owner || this.pace.isEnough(this.#bytes, this.#dispatches)) this.submit();
    const begins = this.#owner === null;
    this.#owner = owner;
    return begins;
  }

  encode({ label, pipeline, bindGroup, groups, offset, bytes }: Command): void {
    const pass = this.#beginPass(label);
    if (this.#lastPipeline !== pipeline) pass.setPipeline(pipeline);
    this.#lastPipeline = pipeline;
    if (offset === null) {
      pass.setBindGroup(0, bindGroup);
    } else {
      this.#offsets[0] = offset;
      pass.setBindGroup(0, bindGroup, this.#offsets);
    }
    pass.dispatchWorkgroups(groups[0], groups[1], groups[2]);
    this.#bytes += bytes;
    this.#dispatches++;
    if (this.timer) this.#endPass();
  }

  /** Encodes what is no dispatch. */
  encodeCopy(owner: Failures, bytes: number, encode: (encoder: GPUCommandEncoder) => void): void {
    this.prepare(owner);
    this.#endPass();
    this.#encoder ??= this.device.createCommandEncoder();
    encode(this.#encoder);
    this.#bytes += bytes;
  }

  submit(): void {
    const [owner, encoder] = [this.#owner, this.#encoder];
    this.#owner = null;
    if (!encoder || !owner) return;
    this.#endPass();
    this.#encoder = null;
    const { device, params, timer } = this;
    const { queue } = device;
    const [, verdict] = judged(device, () => {
      timer?.resolve(encoder);
      if (params.slots > 0) queue.writeBuffer(this.paramsBuffer, 0, params.words.buffer, 0, params.bytes);
      queue.submit([encoder.finish()]);
    });
    owner.watch(verdict);
    this.pace.sent(this.#bytes, this.#dispatches, () => queue.onSubmittedWorkDone());
    this.#bytes = this.#dispatches = params.slots = 0;
  }

  #beginPass(label: string): GPUComputePassEncoder {
    this.#encoder ??= this.device.createCommandEncoder();
    this.#pass ??= this.#encoder.beginComputePass({ label, timestampWrites: this.timer?.writes(label) });
    return this.#pass;
  }

  #endPass(): void {
    this.#pass?.end();
    this.#pass = null;
    this.#lastPipeline = null;
  }
}
