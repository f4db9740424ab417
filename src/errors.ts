/**
 * The project's errors. A message says what was expected, what was got and what to do, on one line;
 * `exitCode` is what a command returns for it (1 failed, 2 wrong usage).
 */
export class PithError extends Error {
  readonly exitCode: number = 1;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** A command line that cannot be understood. */
export class UsageError extends PithError {
  override readonly exitCode = 2;
}

/** A configuration that cannot be run: unknown key, value out of range, settings that contradict each other. */
export class ConfigError extends PithError {
  override readonly exitCode = 2;
}

/** A file that is not what its name promises: cut short, malformed, of an unsupported kind. */
export class FormatError extends PithError {}

/** Tensors whose shapes or dtypes do not fit the operation. */
export class ShapeError extends PithError {}

/** A kernel that the adapter's compiler refuses; the message holds file and line of the WGSL. */
export class KernelCompileError extends PithError {}

/** No WebGPU adapter, or none of the name asked for. */
export class GpuUnavailableError extends PithError {}

/** The device went away: driver reset, unplugged, destroyed. Buffers on it are gone. */
export class DeviceLostError extends PithError {}

/** The device has no memory left for a buffer. */
export class OutOfMemoryError extends PithError {}
