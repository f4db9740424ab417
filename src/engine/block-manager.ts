/**
 * Hands out the KV cache's blocks. A block holds `blockSize` consecutive positions of one sequence, or,
 * with a reference count above one, of a prefix that several sequences share.
 */
export class BlockManager {
  readonly blockSize: number;
  readonly numBlocks: number;
  readonly #free: number[];
  readonly #references: Uint32Array;

  constructor(numBlocks: number, blockSize: number) {
    this.numBlocks = numBlocks;
    this.blockSize = blockSize;
    this.#references = new Uint32Array(numBlocks);
    this.#free = Array.from({ length: numBlocks }, (_, i) => numBlocks - 1 - i);
  }

  get numFree(): number {
    return this.#free.length;
  }

  /** Blocks that `positions` positions take. */
  blocksFor(positions: number): number {
    return Math.ceil(positions / this.blockSize);
  }

  /** `count` blocks with one reference each. The caller has looked at `numFree`. */
  allocate(count: number): number[] {
    if (count > this.#free.length) throw new Error(`expected ${count} free blocks, got ${this.#free.length}`);
    const blocks = this.#free.splice(this.#free.length - count).reverse();
    for (const block of blocks) this.#references[block] = 1;
    return blocks;
  }

  share(blocks: readonly number[]): void {
    for (const block of blocks) this.#references[block]!++;
  }

  release(blocks: readonly number[]): void {
    for (const block of blocks) {
      if (this.#references[block] === 0) throw new Error(`block ${block} was released twice`);
      if (--this.#references[block]! === 0) this.#free.push(block);
    }
  }
}
