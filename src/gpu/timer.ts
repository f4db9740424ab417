/** Dispatches that one query set has timestamps for: WebGPU allows 4096 queries in it. */
const CAPACITY = 2048;

/** Time on the device by kernel, from timestamp queries: every dispatch gets a pass of its own while a timer is on. */
export class Timer {
  readonly #device: GPUDevice;
  /** Of the submit being recorded; more than one where it has more than CAPACITY dispatches. */
  readonly #sets: { queries: GPUQuerySet; labels: string[] }[] = [];
  readonly #resolved: GPUBuffer;
  readonly #batches: { labels: string[]; staging: GPUBuffer }[] = [];

  /** The device must have the feature "timestamp-query". */
  constructor(device: GPUDevice) {
    this.#device = device;
    this.#resolved = device.createBuffer({
      size: 16 * CAPACITY,
      usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
    });
  }

  writes(label: string): GPUComputePassTimestampWrites {
    let set = this.#sets.find(({ labels }) => labels.length < CAPACITY);
    if (!set) {
      set = { queries: this.#device.createQuerySet({ type: "timestamp", count: 2 * CAPACITY }), labels: [] };
      this.#sets.push(set);
    }
    const index = 2 * (set.labels.push(label) - 1);
    return { querySet: set.queries, beginningOfPassWriteIndex: index, endOfPassWriteIndex: index + 1 };
  }

  resolve(encoder: GPUCommandEncoder): void {
    for (const set of this.#sets) {
      const { queries, labels } = set;
      if (labels.length === 0) return;
      const size = 16 * labels.length;
      const staging = this.#device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
      encoder.resolveQuerySet(queries, 0, 2 * labels.length, this.#resolved, 0);
      encoder.copyBufferToBuffer(this.#resolved, 0, staging, 0, size);
      this.#batches.push({ labels, staging });
      set.labels = [];
    }
  }

  /** Milliseconds and dispatches by kernel since the last call, most expensive first. */
  async take(): Promise<{ label: string; ms: number; count: number }[]> {
    const totals = new Map<string, { label: string; ms: number; count: number }>();
    for (const { labels, staging } of this.#batches.splice(0)) {
      await staging.mapAsync(GPUMapMode.READ);
      const times = new BigUint64Array(staging.getMappedRange());
      labels.forEach((label, i) => {
        const total = totals.get(label) ?? { label, ms: 0, count: 0 };
        total.ms += Number(times[2 * i + 1]! - times[2 * i]!) / 1e6;
        total.count++;
        totals.set(label, total);
      });
      staging.destroy();
    }
    return [...totals.values()].sort((a, b) => b.ms - a.ms);
  }
}
