import type { DeviceGpu } from "../gpu/device-gpu.ts";
import type { Gpu } from "../gpu/gpu.ts";
import type { Recorder } from "../gpu/recorder.ts";
import { Timer } from "../gpu/timer.ts";
import { summarize, type Summary } from "./statistics.ts";

export interface Timing {
  /** Milliseconds of one repetition. */
  ms: Summary;
  /** By timestamps of the device, or by the clock of the host around recording and waiting. */
  clock: "device" | "host";
}

/** A sample lasts at least that long, so that submitting and waiting weigh little. */
const SAMPLE_MS = 20;
const MAX_REPEATS = 200;
const MAX_SAMPLES = 9;
const MIN_SAMPLES = 3;

/** Takes times on one device. */
export class Stopwatch {
  readonly device: DeviceGpu;
  /** The job whose work is timed. */
  readonly gpu: Gpu;
  readonly #timer: Timer | null;

  constructor(device: DeviceGpu, job: Gpu = device) {
    this.device = device;
    this.gpu = job;
    this.#timer = device.features.has("timestamp-query") ? new Timer(device.device) : null;
  }

  /**
   * Times what `record` records: a warm-up, then samples of as many repetitions in one submit as fill SAMPLE_MS, until there are
   * MAX_SAMPLES or `seconds` are over. Where the device has a clock there are samples by either clock, and the shorter time
   * counts, for each has something in it that the kernel has not: the host's the recording, where that takes longer than the
   * work; the device's a pass for every dispatch.
   */
  async recorded(record: (rec: Recorder) => void, seconds: number): Promise<Timing> {
    const start = performance.now();
    await this.#byHost(record, 1); // compiles
    const repeats = Math.min(MAX_REPEATS, Math.max(1, Math.round(SAMPLE_MS / (await this.#byHost(record, 1)))));
    const samples = { host: [] as number[], device: [] as number[] };
    while (samples.host.length < MAX_SAMPLES) {
      if (samples.host.length >= MIN_SAMPLES && performance.now() - start > 1000 * seconds) break;
      const { host, device } = await this.sample(record, repeats);
      samples.host.push(host);
      if (device !== null) samples.device.push(device);
    }
    const host = summarize(samples.host);
    const device = samples.device.length > 0 ? summarize(samples.device) : null;
    return device && device.median < host.median ? { ms: device, clock: "device" } : { ms: host, clock: "host" };
  }

  /** Milliseconds of one of `repeats` repetitions in one submit, by either clock; null where the device has none. */
  async sample(record: (rec: Recorder) => void, repeats: number): Promise<{ host: number; device: number | null }> {
    const host = await this.#byHost(record, repeats);
    return { host, device: this.#timer && (await this.#byDevice(this.#timer, record, repeats)) };
  }

  async #byHost(record: (rec: Recorder) => void, repeats: number): Promise<number> {
    const start = performance.now();
    for (let i = 0; i < repeats; i++) record(this.gpu.recorder());
    await this.gpu.idle();
    return (performance.now() - start) / repeats;
  }

  async #byDevice(timer: Timer, record: (rec: Recorder) => void, repeats: number): Promise<number> {
    this.gpu.timer = timer;
    try {
      await this.#byHost(record, repeats);
    } finally {
      this.gpu.timer = null;
    }
    const kernels = await timer.take();
    // Copies are no dispatches and have no timestamps.
    return kernels.length === 0 ? Infinity : kernels.reduce((sum, { ms }) => sum + ms, 0) / repeats;
  }

  /** Times `work`, which waits for the device itself: after a warm-up, up to nine runs while `seconds` last. */
  async waited(
    { warmUp, work }: { warmUp: () => Promise<void>; work: () => Promise<void> },
    seconds: number,
  ): Promise<Timing> {
    await warmUp();
    const start = performance.now();
    const samples: number[] = [];
    do {
      const before = performance.now();
      await work();
      samples.push(performance.now() - before);
    } while (samples.length < 9 && performance.now() - start < 1000 * seconds);
    return { ms: summarize(samples), clock: "host" };
  }
}
