/**
 * Lookups after which what nobody asked for is let go: several iterations of a small model. A larger one makes some of its groups anew
 * in each, which is little beside their work.
 */
const PERIOD = 2 ** 13;

/**
 * Bind groups by their tensors, kept while they are in use. Work is recorded again and again, but batches of ever other lengths meet
 * buffers in ever other combinations: one that was not asked for in the last period, nor in this one, is let go.
 */
export class BindGroups {
  #current = new Map<string, GPUBindGroup>();
  #last = new Map<string, GPUBindGroup>();
  #lookups = 0;

  get(key: string): GPUBindGroup | undefined {
    if (++this.#lookups > PERIOD) {
      this.#last = this.#current;
      this.#current = new Map();
      this.#lookups = 1;
    }
    const current = this.#current.get(key);
    if (current) return current;
    const last = this.#last.get(key);
    if (last) this.#current.set(key, last);
    return last;
  }

  set(key: string, bindGroup: GPUBindGroup): void {
    this.#current.set(key, bindGroup);
  }
}
