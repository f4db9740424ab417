import type { Storage } from "../gpu/tensor.ts";
import type { Cost } from "./cost.ts";
import { allocate } from "./kernel-case.ts";
import { forward } from "./kernels/linear.ts";
import type { Stopwatch } from "./stopwatch.ts";

/** The most that this adapter was seen to do in this run. */
export interface Roof {
  /** Operations a second of the fastest square matrix product, by the weight's storage. */
  flops: Record<Storage, number>;
  /** Bytes read and written a second by the largest copy of a buffer. */
  bytes: number;
  /** The square products that it was found by. */
  products: Product[];
}

interface Product {
  size: number;
  storage: Storage;
  ms: number;
  flops_per_second: number;
}

const SIZES = [512, 1024, 2048, 4096, 8192];
/** No cache holds the largest. */
const COPIES = [2 ** 26, 2 ** 28, 2 ** 30];
/** A larger size takes about eight times as long as the one before; after this the next is left out. */
const ENOUGH_MS = 100;

const SECONDS = 0.5;

/** Measures the roof: of growing sizes, until one takes long, the fastest product and the largest copy. */
export async function measureRoof(watch: Stopwatch): Promise<Roof> {
  const products = [...(await squareProducts(watch, "f32")), ...(await squareProducts(watch, "bf16"))];
  const fastest = (wanted: Storage) =>
    Math.max(...products.filter(({ storage }) => storage === wanted).map((product) => product.flops_per_second));
  return { flops: { f32: fastest("f32"), bf16: fastest("bf16") }, bytes: await largestCopy(watch), products };
}

async function squareProducts(watch: Stopwatch, storage: Storage): Promise<Product[]> {
  const { gpu } = watch;
  const products: Product[] = [];
  for (const size of SIZES) {
    const product = forward({ rows: size, inputs: size, outputs: size, storage });
    if (4 * size * size > gpu.limits.maxStorageBufferBindingSize) break;
    const tensors = allocate(gpu, product);
    const { ms } = await watch.recorded((rec) => product.record(rec, tensors), SECONDS);
    gpu.release(...Object.values(tensors));
    products.push({ size, storage, ms: ms.median, flops_per_second: product.flops / (ms.median / 1000) });
    if (ms.median > ENOUGH_MS) break;
  }
  return products;
}

async function largestCopy(watch: Stopwatch): Promise<number> {
  const { gpu } = watch;
  let last = 0;
  const limit = Math.min(gpu.limits.maxBufferSize, gpu.limits.maxStorageBufferBindingSize);
  for (const bytes of COPIES.filter((size) => size <= limit)) {
    const [source, target] = [gpu.zeros([bytes / 4], "f32"), gpu.zeros([bytes / 4], "f32")];
    const { ms } = await watch.recorded((rec) => rec.copy(source, target), SECONDS);
    gpu.release(source, target);
    last = (2 * bytes) / (ms.median / 1000);
    if (ms.median > ENOUGH_MS) break;
  }
  await gpu.trim();
  return last;
}

/** Seconds that the roof allows for it. */
export const roofSeconds = (roof: Pick<Roof, "flops" | "bytes">, storage: Storage, { flops, bytes }: Cost): number =>
  Math.max(flops / roof.flops[storage], bytes / roof.bytes);

/** Of the roof, what is expected at least. */
const WORST_SHARE = 0.1;

/** Why it is better not tried, where at a tenth of the roof's speed it would take more than `maxSeconds`. */
export function tooLong(
  roof: Pick<Roof, "flops" | "bytes">,
  storage: Storage,
  cost: Cost,
  maxSeconds: number,
): string | undefined {
  const seconds = roofSeconds(roof, storage, cost) / WORST_SHARE;
  return seconds > maxSeconds
    ? `may take ${Math.round(seconds)} s a run (at a tenth of the roof's speed), more than ${maxSeconds}`
    : undefined;
}
