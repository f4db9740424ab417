import { expect, test } from "vitest";
import { ConfigError } from "../../src/errors.ts";
import { chooseTier } from "../../src/gpu/tier.ts";

const adapter = (features: string[], subgroupMinSize: number) => ({
  features: new Set(features) as GPUSupportedFeatures,
  info: { subgroupMinSize } as GPUAdapterInfo,
});

test("the tier is the best that features and limits allow", () => {
  expect(chooseTier(adapter([], 0))).toBe("baseline");
  expect(chooseTier(adapter(["subgroups"], 4))).toBe("baseline");
  expect(chooseTier(adapter(["subgroups"], 8))).toBe("subgroups");
});

test("a slower tier can be asked for, one that the adapter lacks cannot", () => {
  expect(chooseTier(adapter(["subgroups"], 32), "baseline")).toBe("baseline");
  expect(() => chooseTier(adapter([], 0), "subgroups")).toThrow(ConfigError);
  expect(() => chooseTier(adapter(["subgroups"], 32), "fastest")).toThrow(
    'expected a kernel tier of this adapter (baseline, subgroups), got "fastest"',
  );
});
