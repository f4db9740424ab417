import { OutOfMemoryError, ShapeError } from "../errors.ts";
import type { Gpu } from "./gpu.ts";
import type { Kernel, Pipeline } from "./kernel.ts";
import type { Allocation } from "./pool.ts";
import { Recording, type Command, type CommandList } from "./recording.ts";
import { byteLength, type Storage, type Tensor } from "./tensor.ts";

export interface Dispatch {
  /** Fields of the kernel's `var<uniform> params`; those left out are 0. */
  params?: Record<string, number>;
  /** By WGSL variable name: exactly those that the entry point uses. */
  buffers: Record<string, Tensor>;
  /** A single number above 65,535 is folded to two dimensions; shaders/lib/index.wgsl undoes it. */
  workgroups: readonly [number] | readonly [number, number] | readonly [number, number, number];
  /** Values of `override` constants. */
  constants?: Record<string, number>;
}

const MAX_GROUPS = 65535;
const PARAMS_STRIDE = 256;
const PARAMS_SLOTS = 1024;
const MAX_BIND_GROUPS = 16384;

/**
 * Records dispatches into one compute pass and sends them with one submit. Their parameters lie in
 * one uniform buffer that is written once a submit, so a bind group is a function of its tensors
 * alone and is found again when the same step is recorded again.
 */
export class Recorder {
  readonly gpu: Gpu;
  readonly #params = new Uint32Array((PARAMS_SLOTS * PARAMS_STRIDE) / 4);
  readonly #floatParams = new Float32Array(this.#params.buffer);
  readonly #paramsBuffer: GPUBuffer;
  readonly #bindGroups = new Map<string, GPUBindGroup>();
  #slots = 0;
  #encoder: GPUCommandEncoder | null = null;
  #pass: GPUComputePassEncoder | null = null;
  /** Of the pass. */
  #lastPipeline: GPUComputePipeline | null = null;
  readonly #offsets = [0];
  /** While a recording is made: what would have been sent, and what is to be sent next. */
  #captured: { lists: CommandList[]; commands: Command[]; used: Set<Allocation> } | null = null;

  constructor(gpu: Gpu) {
    this.gpu = gpu;
    this.#paramsBuffer = gpu.device.createBuffer({
      label: "params",
      size: this.#params.byteLength,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    });
  }

  dispatch(kernel: Kernel, entryPoint: string, { params, buffers, workgroups, constants }: Dispatch): void {
    const label = `${kernel.name}.${entryPoint}`;
    const groups = fold(workgroups, label);
    if (groups.some((n) => n === 0)) return;
    const pipeline = this.gpu.pipeline(kernel, storageOf(kernel, buffers, label), entryPoint, constants ?? {});
    const bindGroup = this.#bindGroup(pipeline, buffers, label);

    let offset: number | null = null;
    if (pipeline.paramsSize > 0) {
      if (this.#slots === PARAMS_SLOTS) this.submit();
      offset = this.#slots++ * PARAMS_STRIDE;
      for (const { name, word, isFloat } of pipeline.fields) {
        (isFloat ? this.#floatParams : this.#params)[offset / 4 + word] = params?.[name] ?? 0;
      }
    }
    const command = { label, pipeline: pipeline.pipeline, bindGroup, groups, offset };
    if (this.#captured) {
      this.#captured.commands.push(command);
      for (const { allocation } of Object.values(buffers)) this.#captured.used.add(allocation);
    } else {
      this.#encode(command);
    }
  }

  /**
   * Records `work`, dispatches and submits alone, without sending it: `replay` does, as often as wanted, and at a fraction of the
   * cost of recording it. The caller disposes of the recording.
   */
  capture(work: () => void): Recording {
    this.submit();
    const captured = { lists: [], commands: [], used: new Set<Allocation>() };
    this.#captured = captured;
    try {
      work();
      this.submit();
    } finally {
      this.#captured = null;
      this.#slots = 0;
    }
    return new Recording(captured.lists, this.gpu.pool, captured.used);
  }

  get isCapturing(): boolean {
    return this.#captured !== null;
  }

  /** Sends what was captured, submit by submit. */
  replay({ lists }: Recording): void {
    for (const { commands, params } of lists) {
      this.submit();
      this.#params.set(params);
      this.#slots = (4 * params.length) / PARAMS_STRIDE;
      for (const command of commands) this.#encode(command);
      this.submit();
    }
  }

  #encode({ label, pipeline, bindGroup, groups, offset }: Command): void {
    const pass = this.#begin(label);
    if (this.#lastPipeline !== pipeline) pass.setPipeline(pipeline);
    this.#lastPipeline = pipeline;
    if (offset === null) {
      pass.setBindGroup(0, bindGroup);
    } else {
      this.#offsets[0] = offset;
      pass.setBindGroup(0, bindGroup, this.#offsets);
    }
    pass.dispatchWorkgroups(groups[0], groups[1], groups[2]);
    if (this.gpu.timer) this.#endPass();
  }

  /** Sets every element to zero. */
  clear(tensor: Tensor): void {
    this.#refuseToCapture("clear");
    this.#endPass();
    this.#encoder ??= this.gpu.device.createCommandEncoder();
    this.#encoder.clearBuffer(tensor.buffer, tensor.offset, tensor.byteLength);
  }

  /** Copies `source` over `target`, of the same dtype, from its element `start` on; without `start` they have the same size. */
  copy(source: Tensor, target: Tensor, start?: number): void {
    this.#refuseToCapture("copy");
    const offset = byteLength([start ?? 0], target.dtype);
    const fits = start === undefined ? source.size === target.size : offset + source.byteLength <= target.byteLength;
    if (!fits || source.dtype !== target.dtype) {
      throw new ShapeError(`copy: expected ${target.dtype} [${target.shape}], got ${source.dtype} [${source.shape}]`);
    }
    this.#endPass();
    this.#encoder ??= this.gpu.device.createCommandEncoder();
    const to = target.offset + offset;
    this.#encoder.copyBufferToBuffer(source.buffer, source.offset, target.buffer, to, source.byteLength);
  }

  /** Sends what was recorded. Waiting for it is the business of a read or of `gpu.idle()`. */
  submit(): void {
    if (this.#captured) {
      const { lists, commands } = this.#captured;
      if (commands.length > 0) {
        lists.push({ commands, params: this.#params.slice(0, (this.#slots * PARAMS_STRIDE) / 4) });
        this.#captured.commands = [];
      }
      this.#slots = 0;
      return;
    }
    if (!this.#encoder) return;
    this.#endPass();
    this.gpu.timer?.resolve(this.#encoder);
    if (this.#slots > 0)
      this.gpu.device.queue.writeBuffer(this.#paramsBuffer, 0, this.#params.buffer, 0, this.#slots * PARAMS_STRIDE);
    this.gpu.device.queue.submit([this.#encoder.finish()]);
    this.#encoder = null;
    this.#slots = 0;
  }

  #refuseToCapture(what: string): void {
    if (this.#captured) throw new Error(`expected dispatches in a recording, got a ${what}`);
  }

  /** The whole buffer where it can be bound, so that tensors of many sizes share a bind group; otherwise the tensor's part. */
  #binding(tensor: Tensor, what: string): GPUBufferBinding {
    const { buffer, offset, byteLength: size } = tensor;
    const limit = this.gpu.maxBindingSize;
    if (!isPart(tensor, limit)) return { buffer };
    if (size > limit)
      throw new OutOfMemoryError(
        `${what}: expected at most ${limit} bytes in a binding (this adapter's limit), got ${size}; use a smaller model or fewer tokens per micro-batch`,
      );
    return { buffer, offset, size };
  }

  #begin(label: string): GPUComputePassEncoder {
    this.#encoder ??= this.gpu.device.createCommandEncoder();
    this.#pass ??= this.#encoder.beginComputePass({ label, timestampWrites: this.gpu.timer?.writes(label) });
    return this.#pass;
  }

  #endPass(): void {
    this.#pass?.end();
    this.#pass = null;
    this.#lastPipeline = null;
  }

  #bindGroup(pipeline: Pipeline, buffers: Record<string, Tensor>, label: string): GPUBindGroup {
    let key = `${pipeline.id}`;
    for (const { name } of pipeline.variables) {
      const tensor = buffers[name];
      if (!tensor)
        throw new ShapeError(`${label}: expected a tensor for ${name}, got ${Object.keys(buffers).join(", ")}`);
      if (tensor.allocation.free) throw new ShapeError(`${label}: ${name} was released before its use`);
      key += `,${tensor.allocation.id}`;
      if (isPart(tensor, this.gpu.maxBindingSize)) key += `+${tensor.offset}:${tensor.byteLength}`;
    }
    const names = Object.keys(buffers);
    if (names.length !== pipeline.variables.length) {
      throw new ShapeError(
        `${label}: expected only ${pipeline.variables.map((v) => v.name).join(", ")}, got ${names.join(", ")}`,
      );
    }
    const known = this.#bindGroups.get(key);
    if (known) return known;

    const entries: GPUBindGroupEntry[] = pipeline.variables.map(({ name, binding }) => ({
      binding,
      resource: this.#binding(buffers[name]!, `${label}: ${name}`),
    }));
    if (pipeline.paramsSize > 0) {
      entries.push({ binding: 0, resource: { buffer: this.#paramsBuffer, size: pipeline.paramsSize } });
    }
    const bindGroup = this.gpu.device.createBindGroup({ label, layout: pipeline.layout, entries });
    if (this.#bindGroups.size >= MAX_BIND_GROUPS) this.#bindGroups.clear();
    this.#bindGroups.set(key, bindGroup);
    return bindGroup;
  }
}

/** Whether a tensor is bound as a part of its buffer: where it does not begin with it, or the buffer is larger than a binding. */
const isPart = ({ offset, allocation }: Tensor, limit: number): boolean => offset > 0 || allocation.capacity > limit;

/** Workgroups of a dispatch in three dimensions, each within WebGPU's limit. */
export function fold(workgroups: Dispatch["workgroups"], label: string): [number, number, number] {
  const [x, y, z] = workgroups;
  if (y === undefined && x > MAX_GROUPS) {
    const rows = Math.ceil(x / MAX_GROUPS);
    return [Math.ceil(x / rows), rows, 1];
  }
  if (x > MAX_GROUPS || (y ?? 1) > MAX_GROUPS || (z ?? 1) > MAX_GROUPS) {
    throw new ShapeError(`${label}: expected at most ${MAX_GROUPS} workgroups a dimension, got [${workgroups}]`);
  }
  return [x, y ?? 1, z ?? 1];
}

function storageOf(kernel: Kernel, buffers: Record<string, Tensor>, label: string): Storage {
  let storage: Storage | undefined;
  for (const [name, { dtype }] of Object.entries(buffers)) {
    const isPair = kernel.pairs.has(name);
    if (isPair ? dtype !== "f32" && dtype !== "bf16" : dtype === "bf16") {
      throw new ShapeError(`${label}: ${name} cannot be ${dtype}`);
    }
    if (!isPair) continue;
    if (storage && storage !== dtype)
      throw new ShapeError(`${label}: expected ${name} as ${storage} like the others, got ${dtype}`);
    storage = dtype as Storage;
  }
  return storage ?? "f32";
}
