/** Time on the device by kernel, from timestamp queries: every dispatch gets a pass of its own while a timer is on. */
export class Timer {
  readonly #device: GPUDevice;
  readonly #capacity = 2048;
  readonly #queries: GPUQuerySet;
  readonly #resolved: GPUBuffer;
  #labels: string[] = [];
  readonly #batches: { labels: string[]; staging: GPUBuffer }[] = [];

  /** The device must have the feature "timestamp-query". */
  constructor(device: GPUDevice) {
    this.#device = device;
    this.#queries = device.createQuerySet({ type: "timestamp", count: 2 * this.#capacity });
    this.#resolved = device.createBuffer({
      size: 16 * this.#capacity,
      usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
    });
  }

  writes(label: string): GPUComputePassTimestampWrites | undefined {
    if (this.#labels.length === this.#capacity) return undefined;
    const index = 2 * (this.#labels.push(label) - 1);
    return { querySet: this.#queries, beginningOfPassWriteIndex: index, endOfPassWriteIndex: index + 1 };
  }

  resolve(encoder: GPUCommandEncoder): void {
    if (this.#labels.length === 0) return;
    const size = 16 * this.#labels.length;
    const staging = this.#device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    encoder.resolveQuerySet(this.#queries, 0, 2 * this.#labels.length, this.#resolved, 0);
    encoder.copyBufferToBuffer(this.#resolved, 0, staging, 0, size);
    this.#batches.push({ labels: this.#labels, staging });
    this.#labels = [];
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
