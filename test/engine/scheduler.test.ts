import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BlockManager } from "../../src/engine/block-manager.ts";
import { Scheduler } from "../../src/engine/scheduler.ts";
import { Sequence, type Prompt } from "../../src/engine/sequence.ts";

const STOP = 99;
const prompt = (length: number, promptId = 0): Prompt => ({
  promptId,
  tokenIds: Array.from({ length }, (_, i) => i),
  sharedBlocks: [],
  holders: 0,
});

/** Lets every running sequence decode `steps` tokens; `lengths` says after how many tokens a sample stops. */
function decode(scheduler: Scheduler, steps: number, lengths: Map<Sequence, number>): void {
  for (const sequence of scheduler.running) {
    for (let i = 0; i < steps && !sequence.finishReason; i++) {
      sequence.append(sequence.tokenIds.length + 1 === lengths.get(sequence) ? STOP : 1, 0, new Set([STOP]));
    }
  }
}

describe("BlockManager", () => {
  test("frees a block with its last reference, and refuses to free it again", () => {
    const blocks = new BlockManager(4, 16);
    const a = blocks.allocate(2);
    blocks.share(a);
    blocks.release(a);
    expect(blocks.numFree).toBe(2);
    blocks.release(a);
    expect(blocks.numFree).toBe(4);
    expect(() => blocks.release(a)).toThrow(/twice/);
    expect(() => blocks.allocate(5)).toThrow(/expected 5 free blocks/);
  });
});

describe("Scheduler", () => {
  test("samples of one prompt share its full blocks and compute them once", () => {
    const blocks = new BlockManager(100, 4);
    const p = prompt(10);
    const sequences = [0, 1, 2].map((sample) => new Sequence(p, sample, 20));
    const prefills = new Scheduler(sequences, blocks, 8).schedule(4);
    expect(prefills.map(({ start, end }) => [start, end])).toEqual([
      [0, 9],
      [8, 9],
      [8, 9],
    ]);
    expect(sequences.map((s) => s.blocks.slice(0, 2))).toEqual([p.sharedBlocks, p.sharedBlocks, p.sharedBlocks]);
    expect(new Set(sequences.flatMap((s) => s.blocks.slice(2))).size).toBe(6);
  });

  test("a preempted sequence waits at the head of the queue and computes its tokens again", () => {
    const blocks = new BlockManager(6, 4);
    const sequences = [0, 1].map((id) => new Sequence(prompt(4, id), 0, 20));
    const scheduler = new Scheduler(sequences, blocks, 8);
    scheduler.schedule(4);
    expect(scheduler.running.length).toBe(2);
    const lengths = new Map(sequences.map((s) => [s, 100]));
    decode(scheduler, 4, lengths);
    scheduler.schedule(4);
    decode(scheduler, 4, lengths);
    scheduler.schedule(4);
    expect(scheduler.running).toEqual([sequences[0]]);
    expect(scheduler.waiting).toEqual([sequences[1]]);
    expect(sequences[1]!.tokenIds.length).toBe(8);
    while (!sequences[0]!.finishReason) {
      decode(scheduler, 4, lengths);
      if (!sequences[0]!.finishReason) scheduler.schedule(4);
    }
    expect(scheduler.schedule(4)).toEqual([{ sequence: sequences[1], start: 0, end: 11 }]);
  });

  test("a full cache does not evict and readmit in circles", () => {
    // 64 responses of 100 to 1,000 tokens where the cache holds a fifth of them at their ends.
    const maxLength = 1064;
    const blocks = new BlockManager(880, 16);
    const sequences = Array.from({ length: 64 }, (_, id) => new Sequence(prompt(64, id), 0, maxLength));
    const lengths = new Map(sequences.map((s, id) => [s, 100 + ((id * 577) % 901)]));
    const scheduler = new Scheduler(sequences, blocks, 64);
    const computed = new Map<Sequence, number>();
    while (!scheduler.done) {
      for (const { sequence } of scheduler.schedule(16)) computed.set(sequence, (computed.get(sequence) ?? 0) + 1);
      decode(scheduler, 16, lengths);
    }
    const readmitted = [...computed.values()].reduce((sum, times) => sum + times - 1, 0);
    expect(Math.max(...computed.values())).toBe(2);
    expect(readmitted).toBeLessThan(20);
  });

  test("whatever the sizes: every sequence finishes, blocks cover what is touched, are never shared by accident, and all come back", () => {
    const request = fc.record({
      promptLength: fc.integer({ min: 1, max: 30 }),
      n: fc.integer({ min: 1, max: 4 }),
      stopAfter: fc.integer({ min: 1, max: 40 }),
    });
    fc.assert(
      fc.property(
        fc.array(request, { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 0, max: 20 }),
        fc.integer({ min: 1, max: 6 }),
        (requests, blockSize, steps, extraBlocks, maxNumSeqs) => {
          const maxLength = 60;
          const blocks = new BlockManager(Math.ceil(maxLength / blockSize) + extraBlocks, blockSize);
          const lengths = new Map<Sequence, number>();
          for (const [id, { promptLength, n, stopAfter }] of requests.entries()) {
            const p = prompt(promptLength, id);
            for (let sample = 0; sample < n; sample++)
              lengths.set(new Sequence(p, sample, maxLength), stopAfter + sample);
          }
          const scheduler = new Scheduler([...lengths.keys()], blocks, maxNumSeqs);
          for (let round = 0; ; round++) {
            expect(round).toBeLessThan(2000);
            scheduler.schedule(steps);
            if (scheduler.done) break;
            expect(scheduler.running.length).toBeGreaterThan(0);
            expect(scheduler.running.length).toBeLessThanOrEqual(maxNumSeqs);
            const owners = new Map<number, Prompt>();
            const seen = new Set<number>();
            for (const s of scheduler.running) {
              expect(s.blocks.length * blockSize).toBeGreaterThanOrEqual(Math.min(s.length + steps - 1, s.maxLength));
              for (const [i, block] of s.blocks.entries()) {
                if (i < s.prompt.sharedBlocks.length) expect(owners.get(block) ?? s.prompt).toBe(s.prompt);
                else expect(seen.has(block)).toBe(false);
                owners.set(block, s.prompt);
                if (i >= s.prompt.sharedBlocks.length) seen.add(block);
              }
            }
            decode(scheduler, steps, lengths);
          }
          expect(blocks.numFree).toBe(blocks.numBlocks);
          for (const [s, stopAfter] of lengths) {
            expect(s.finishReason).toBe(s.prompt.tokenIds.length + stopAfter <= maxLength ? "stop" : "length");
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});
