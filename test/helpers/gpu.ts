import { afterAll } from "vitest";
import { expect } from "vitest";
import { packBf16, unpackBf16 } from "../../src/core/bf16.ts";
import type { Device } from "../../src/gpu/device.ts";
import type { DeviceGpu } from "../../src/gpu/device-gpu.ts";
import type { Gpu } from "../../src/gpu/gpu.ts";
import { ConfigError } from "../../src/errors.ts";
import type { Pace } from "../../src/gpu/pace.ts";
import { Tensor, type DType, type Storage } from "../../src/gpu/tensor.ts";
import { TIERS, type Tier } from "../../src/gpu/tier.ts";
import { openGpu } from "./host.ts";

const devices = new Map<Tier | undefined, Promise<DeviceGpu>>();
const others: DeviceGpu[] = [];

/** The devices of this test file, one for each tier asked for (default: the best), closed after its last test. */
export function testGpu(tier?: Tier): Promise<DeviceGpu> {
  let device = devices.get(tier);
  if (!device) devices.set(tier, (device = openGpu(undefined, tier)));
  return device;
}

afterAll(async () => {
  for (const device of devices.values()) (await device).dispose();
  devices.clear();
  for (const device of others.splice(0)) device.dispose();
});

/**
 * A device beside testGpu's whose kernels are those for Intel's GPUs, where an invocation has few registers and subgroups are told their
 * size; closed after the file's last test.
 */
export async function fewRegisters(tier: Tier): Promise<DeviceGpu> {
  const gpu = await openGpu(undefined, tier);
  others.push(gpu);
  const device = Reflect.get(gpu, "shared") as Device;
  const { description, subgroupMinSize, subgroupMaxSize } = device.info;
  const info = { vendor: "intel", description, subgroupMinSize, subgroupMaxSize, isFallbackAdapter: false };
  Object.assign(device, { info });
  return gpu;
}

/** Makes the device one that can bind no more at once. */
export const narrow = (gpu: DeviceGpu, maxBindingSize: number): void =>
  void Object.assign(Reflect.get(gpu, "shared") as object, { maxBindingSize });

/** What the device's submits and waits are measured by: a test may have it say what it likes. */
export const paceOf = (gpu: DeviceGpu): Pace => (Reflect.get(gpu, "shared") as Device).stream.pace;

/** The kernel tiers that this adapter has, those included that it takes only when asked. */
export async function tiersHere(): Promise<Tier[]> {
  const here: Tier[] = [];
  for (const tier of TIERS) {
    try {
      await testGpu(tier);
      here.push(tier);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      devices.delete(tier);
    }
  }
  return here;
}

export const STORAGES: Storage[] = ["f32", "bf16"];

type Numbers = Float32Array | Float64Array | Uint32Array | Int32Array | number[];

/** Deterministic standard normal numbers (mulberry32 and Box-Muller). */
export function randn(seed: number, n: number, scale = 1): Float32Array {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return Float32Array.from(
    { length: n },
    () => scale * Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()),
  );
}

/** What a tensor of this storage really holds. */
export const stored = (values: Float32Array, storage: Storage): Float32Array =>
  storage === "bf16" ? unpackBf16(packBf16(values)) : values;

export const f64 = (values: Numbers): Float64Array => Float64Array.from(values);

/** |got - want| <= atol + rtol |want| for every element. Loose tolerances and all-zero expectations are refused. */
export function expectClose(got: Numbers, want: Numbers, { rtol = 1e-5, atol = 1e-6 } = {}): void {
  if (rtol > 0.02 || atol > 0.02) throw new Error(`tolerances rtol ${rtol}, atol ${atol} are too loose to find a bug`);
  expect(got.length).toBe(want.length);
  if (want.length > 0 && Array.from(want).every((w) => w === 0))
    throw new Error("the expected values are all 0: nothing would be tested");
  const bad: string[] = [];
  for (let i = 0; i < want.length && bad.length < 5; i++) {
    const error = Math.abs(got[i]! - want[i]!);
    if (!(error <= atol + rtol * Math.abs(want[i]!))) bad.push(`[${i}] expected ${want[i]}, got ${got[i]}`);
  }
  expect(bad, `rtol ${rtol}, atol ${atol}`).toEqual([]);
}

const CANARY = 12345;

/** A tensor filled with a canary, followed by more of it: `expectUntouched` finds writes beyond its end. */
export function guarded(
  gpu: Gpu,
  shape: readonly number[],
  dtype: DType,
): { tensor: Tensor; expectUntouched(): Promise<void> } {
  const size = shape.reduce((a, b) => a * b, 1);
  const padded = size + (size % 2);
  const fill = dtype === "f32" || dtype === "bf16" ? new Float32Array(padded + 64) : new Uint32Array(padded + 64);
  const whole = gpu.upload(fill.fill(CANARY), [padded + 64], dtype);
  return {
    tensor: new Tensor(whole.allocation, shape, dtype),
    async expectUntouched() {
      const data = dtype === "f32" || dtype === "bf16" ? await gpu.readF32(whole) : await gpu.readU32(whole);
      const tail = data.subarray(padded);
      const kept = dtype === "bf16" ? stored(new Float32Array([CANARY]), "bf16")[0] : CANARY;
      expect(Array.from(tail).findIndex((v) => v !== kept)).toBe(-1);
    },
  };
}
