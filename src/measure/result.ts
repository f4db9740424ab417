import type { DeviceGpu } from "../gpu/device-gpu.ts";
import type { Roof } from "./roof.ts";
import type { Timing } from "./stopwatch.ts";

/** One measurement, in the units of its fields. What identifies it: part, model, name, shape and storage. */
export interface Line extends Timing {
  part: Part;
  model: string;
  name: string;
  shape: string;
  storage: string;
  /** Operations and bytes of the formula a second. */
  flops_per_second: number;
  bytes_per_second: number;
  /** Which of the two the roof allows less of. */
  bound: "compute" | "memory";
  /** Of the speed that the roof allows, 0 to 1. */
  roof_share: number;
  tokens_per_second?: number;
  /** Bytes on the adapter: what the plan says, and the most that was in use. */
  memory?: { planned: number; peak: number };
}

export const PARTS = ["kernels", "prefill", "decode", "rollout", "train", "iteration"] as const;
export type Part = (typeof PARTS)[number];

/** What was not measured, and why. */
export interface Skipped {
  part: Part;
  model: string;
  name: string;
  shape: string;
  reason: string;
}

export interface AdapterInfo {
  name: string;
  vendor: string;
  architecture: string;
  driver: string;
  tier: string;
  features: string[];
}

export interface BenchResult {
  /** ISO 8601. */
  date: string;
  adapter: AdapterInfo;
  roof: Roof;
  lines: Line[];
  skipped: Skipped[];
}

export const describeAdapter = ({ name, info, tier, features }: DeviceGpu): AdapterInfo => ({
  name,
  vendor: info.vendor,
  architecture: info.architecture,
  driver: info.device,
  tier,
  features: [...features].sort(),
});
