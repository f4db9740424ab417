import { OutOfMemoryError, ShapeError } from "../errors.ts";
import { judged, type Failures } from "./failures.ts";
import type { Kernel, Pipeline } from "./kernel.ts";
import type { Allocation, Owner, Pool } from "./pool.ts";
import { fold, type Dispatch, type Recorder } from "./recorder.ts";
import { Recording, type Command, type CommandList } from "./recording.ts";
import { Params, type CommandStream } from "./stream.ts";
import { byteLength, type Storage, type Tensor } from "./tensor.ts";
import type { Workspace } from "./workspace.ts";

/** What a recorder needs of the job that it records for. */
export interface RecorderHost extends Workspace, Owner {
  readonly pool: Pool;
  readonly failures: Failures;
  /** The pipeline of an entry point, compiled at its first use. */
  pipeline(kernel: Kernel, storage: Storage, entryPoint: string, constants: Record<string, number>): Pipeline;
}

/** What would have been sent, and what is to be sent next. */
interface Captured {
  lists: CommandList[];
  commands: Command[];
  params: Params;
  used: Set<Allocation>;
}

/** Records one job's dispatches for a device's stream of commands, or captures them. */
export class StreamRecorder implements Recorder {
  readonly gpu: RecorderHost;
  readonly #stream: CommandStream;
  #captured: Captured | null = null;

  constructor(gpu: RecorderHost, stream: CommandStream) {
    this.gpu = gpu;
    this.#stream = stream;
  }

  dispatch(kernel: Kernel, entryPoint: string, { params, buffers, workgroups, constants }: Dispatch): void {
    const label = `${kernel.name}.${entryPoint}`;
    const groups = fold(workgroups, label);
    if (groups.some((n) => n === 0)) return;
    const pipeline = this.gpu.pipeline(kernel, storageOf(kernel, buffers, label), entryPoint, constants ?? {});
    const bindGroup = this.#bindGroup(pipeline, buffers, label);
    const bytes = Object.values(buffers).reduce((sum, tensor) => sum + tensor.byteLength, 0);

    const captured = this.#captured;
    const slots = captured?.params ?? this.#stream.params;
    if (slots.isFull) this.submit();
    if (!captured) this.#stream.prepare(this.gpu.failures);
    let offset: number | null = null;
    if (pipeline.paramsSize > 0) {
      offset = slots.next();
      for (const { name, word, isFloat } of pipeline.fields) {
        (isFloat ? slots.floats : slots.words)[offset / 4 + word] = params?.[name] ?? 0;
      }
    }
    const command = { label, pipeline: pipeline.pipeline, bindGroup, groups, offset, bytes };
    if (!captured) return this.#stream.encode(command);
    captured.commands.push(command);
    for (const { allocation } of Object.values(buffers)) captured.used.add(allocation);
  }

  capture(work: () => void): Recording {
    this.#stream.submit();
    const captured: Captured = { lists: [], commands: [], params: new Params(), used: new Set() };
    this.#captured = captured;
    this.#stream.isCapturing = true;
    try {
      work();
      this.submit();
    } finally {
      this.#captured = null;
      this.#stream.isCapturing = false;
    }
    return new Recording(captured.lists, this.gpu.pool, this.gpu, captured.used);
  }

  replay({ lists }: Recording): void {
    const { failures } = this.gpu;
    for (const list of lists) {
      this.#stream.submit();
      for (const command of list.commands) {
        if (this.#stream.prepare(failures)) this.#stream.params.set(list);
        this.#stream.encode(command);
      }
      this.#stream.submit();
    }
  }

  clear(tensor: Tensor): void {
    this.#refuseToCapture("clear");
    const { buffer, offset, byteLength: bytes } = tensor;
    this.#stream.encodeCopy(this.gpu.failures, bytes, (encoder) => encoder.clearBuffer(buffer, offset, bytes));
  }

  copy(source: Tensor, target: Tensor, start?: number): void {
    this.#refuseToCapture("copy");
    const offset = byteLength([start ?? 0], target.dtype);
    const { byteLength: bytes } = source;
    const fits = start === undefined ? source.size === target.size : offset + bytes <= target.byteLength;
    if (!fits || source.dtype !== target.dtype) {
      throw new ShapeError(`copy: expected ${target.dtype} [${target.shape}], got ${source.dtype} [${source.shape}]`);
    }
    this.#stream.encodeCopy(this.gpu.failures, 2 * bytes, (encoder) =>
      encoder.copyBufferToBuffer(source.buffer, source.offset, target.buffer, target.offset + offset, bytes),
    );
  }

  submit(): void {
    if (!this.#captured) return this.#stream.submit();
    const { lists, commands, params } = this.#captured;
    if (commands.length > 0) lists.push({ commands, params: params.words.slice(0, params.bytes / 4) });
    this.#captured.commands = [];
    params.slots = 0;
  }

  #refuseToCapture(what: string): void {
    if (this.#captured) throw new Error(`expected dispatches in a recording, got a ${what}`);
  }

  #bindGroup(pipeline: Pipeline, buffers: Record<string, Tensor>, label: string): GPUBindGroup {
    let key = `${pipeline.id}`;
    for (const { name } of pipeline.variables) {
      const tensor = buffers[name];
      if (!tensor)
        throw new ShapeError(`${label}: expected a tensor for ${name}, got ${Object.keys(buffers).join(", ")}`);
      if (tensor.allocation.owner === null) throw new ShapeError(`${label}: ${name} was released before its use`);
      key += `,${tensor.allocation.id}`;
      if (isPart(tensor, this.gpu.maxBindingSize)) key += `+${tensor.offset}:${tensor.byteLength}`;
    }
    const names = Object.keys(buffers);
    if (names.length !== pipeline.variables.length) {
      throw new ShapeError(
        `${label}: expected only ${pipeline.variables.map((v) => v.name).join(", ")}, got ${names.join(", ")}`,
      );
    }
    const known = this.#stream.bindGroups.get(key);
    if (known) return known;

    const entries: GPUBindGroupEntry[] = pipeline.variables.map(({ name, binding }) => ({
      binding,
      resource: this.#binding(buffers[name]!, `${label}: ${name}`),
    }));
    if (pipeline.paramsSize > 0) {
      entries.push({ binding: 0, resource: { buffer: this.#stream.paramsBuffer, size: pipeline.paramsSize } });
    }
    const { device } = this.#stream;
    const [bindGroup, verdict] = judged(device, () =>
      device.createBindGroup({ label, layout: pipeline.layout, entries }),
    );
    this.gpu.failures.watch(verdict);
    this.#stream.bindGroups.set(key, bindGroup);
    return bindGroup;
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
}

/** Whether a tensor is bound as a part of its buffer: where it does not begin with it, or the buffer is larger than a binding. */
const isPart = ({ offset, allocation }: Tensor, limit: number): boolean => offset > 0 || allocation.capacity > limit;

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
