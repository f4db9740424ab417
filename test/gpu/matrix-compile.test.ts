import { describe, expect, test } from "vitest";
import { compileErrors, compileModule, createPipeline } from "../../src/gpu/kernel.ts";
import { MATRIX_FEATURE, type Matrices } from "../../src/gpu/tier.ts";
import * as attention from "../../src/kernels/attention-matrix.ts";
import * as gradients from "../../src/kernels/attention-matrix-backward.ts";
import { matrixKernel, tilesFor, VARIANTS } from "../../src/kernels/linear-matrix.ts";
import { packKernel } from "../../src/kernels/linear-pack.ts";
import { policyGradientPacks } from "../../src/kernels/policy-gradient-pack.ts";
import { rmsnormPacks } from "../../src/kernels/rmsnorm-pack.ts";
import { swigluPacks } from "../../src/kernels/swiglu-pack.ts";

/** Dawn without a GPU: it compiles everything and runs nothing, so that matrices of other adapters' shapes can be checked. */
async function nullDevice(): Promise<{ device: GPUDevice; limits: GPUSupportedLimits } | null> {
  if (!globalThis.process?.versions?.["node"] || "Deno" in globalThis) return null;
  const { create, globals } = await import("webgpu");
  Object.assign(globalThis, globals);
  const instance = create(["backend=null", "enable-dawn-features=allow_unsafe_apis"]);
  const adapter = await instance.requestAdapter();
  if (!(adapter?.features as ReadonlySet<string> | undefined)?.has(MATRIX_FEATURE)) return null;
  keep.push(instance);
  const { features, limits } = adapter!;
  const wanted = ["subgroups", "shader-f16", MATRIX_FEATURE].filter((name) => features.has(name as GPUFeatureName));
  return { device: await adapter!.requestDevice({ requiredFeatures: wanted as GPUFeatureName[] }), limits };
}

/** Dawn instances in use: one that is garbage collected takes the process down with it. */
const keep: unknown[] = [];

const nothing = await nullDevice();

const SHAPES: Matrices[] = [
  { m: 16, n: 16, k: 16, component: "f16" },
  { m: 8, n: 16, k: 16, component: "f16" },
  { m: 16, n: 8, k: 16, component: "f16" },
  { m: 8, n: 8, k: 8, component: "f16" },
  { m: 8, n: 8, k: 8, component: "f32" },
];

describe.skipIf(!nothing)(
  "kernels of subgroup matrices compile [skipped without Dawn's null backend and its matrices]",
  () => {
    describe.each(SHAPES)("$m x $n x $k, $component", (matrices) => {
      // The null backend's subgroups are of up to 128 invocations and its workgroups of 256.
      test.each([
        { subgroupMinSize: 8, hasManyRegisters: true },
        { subgroupMinSize: 16, hasManyRegisters: false },
        { subgroupMinSize: 32, hasManyRegisters: true },
      ])("in tiles for %o", async (invocations) => {
        const { device, limits } = nothing!;
        const tiles = tilesFor(matrices, {
          ...invocations,
          subgroupMaxSize: 128,
          maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
          maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
        });
        expect(tiles.length).toBeGreaterThan(1);
        for (const tile of tiles) {
          for (const { product, rowsFrom } of VARIANTS) {
            const kernel = matrixKernel(matrices, tile, rowsFrom, product);
            const module = compileModule(device, kernel, "bf16");
            expect(await compileErrors(kernel, "bf16", module.module)).toEqual([]);
            device.pushErrorScope("validation");
            createPipeline(device, kernel, module, product, {});
            expect((await device.popErrorScope())?.message).toBeUndefined();
          }
        }
      });

      test("in tiles for the memory and the subgroups of a GPU", async () => {
        const tiles = tilesFor(matrices, {
          hasManyRegisters: true,
          subgroupMinSize: 32,
          subgroupMaxSize: 32,
          maxComputeInvocationsPerWorkgroup: 1024,
          maxComputeWorkgroupStorageSize: 32768,
        });
        const [largest] = tiles;
        const { m, n } = matrices;
        expect([largest!.grid[0] * largest!.fragments[0] * m, largest!.grid[1] * largest!.fragments[1] * n]).toEqual([
          128, 128,
        ]);
        for (const tile of tiles) {
          for (const { product, rowsFrom } of VARIANTS) {
            const kernel = matrixKernel(matrices, tile, rowsFrom, product);
            const { module } = compileModule(nothing!.device, kernel, "bf16");
            expect(await compileErrors(kernel, "bf16", module)).toEqual([]);
          }
        }
      });

      test("what makes operands ready", async () => {
        const { component } = matrices;
        const packs = [
          packKernel(component),
          swigluPacks[component],
          rmsnormPacks[component],
          policyGradientPacks[component],
        ];
        for (const kernel of [...packs, gradients.packKernel(matrices)]) {
          const module = compileModule(nothing!.device, kernel, "bf16");
          expect(await compileErrors(kernel, "bf16", module.module)).toEqual([]);
        }
      });

      interface Limits extends gradients.TileLimits, attention.TileLimits {}

      /** Each kernel of attention in each of its tiles, largest first, and its entry points. */
      const attentionKernels = (headDim: number, limits: Limits) => [
        ...attention.tilesFor(matrices, headDim, limits).flatMap((tile) => [
          { kernel: attention.matrixKernel(matrices, tile, headDim, null), entryPoints: ["attention_forward"] },
          {
            kernel: attention.matrixKernel(matrices, tile, headDim, 16),
            entryPoints: ["attention_paged", "attention_partial"],
          },
        ]),
        ...(["queries", "keys"] as const).flatMap((own) =>
          gradients.tilesFor(matrices, headDim, own, limits).map((tile) => ({
            kernel: gradients.matrixKernel(matrices, tile),
            entryPoints: [own === "queries" ? "attention_dq" : "attention_dkv"],
          })),
        ),
      ];

      test.each([
        [8, 16],
        [16, 20],
        [32, 128],
      ])("attention for subgroups of %i invocations, heads of %i", async (subgroupMinSize, headDim) => {
        const { device, limits } = nothing!;
        const { maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupStorageSize } = limits;
        const small = { maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupStorageSize, subgroupMaxSize: 128 };
        const kernels = attentionKernels(headDim, { ...small, subgroupMinSize });
        expect(new Set(kernels.flatMap(({ entryPoints }) => entryPoints)).size).toBe(5);
        for (const { kernel, entryPoints } of kernels) {
          const module = compileModule(device, kernel, "bf16");
          expect(await compileErrors(kernel, "bf16", module.module)).toEqual([]);
          device.pushErrorScope("validation");
          for (const entryPoint of entryPoints) createPipeline(device, kernel, module, entryPoint, {});
          expect((await device.popErrorScope())?.message).toBeUndefined();
        }
      });

      test.each([64, 128])("attention for the memory and the subgroups of a GPU, heads of %i", async (headDim) => {
        const limits = {
          subgroupMinSize: 32,
          subgroupMaxSize: 32,
          maxComputeInvocationsPerWorkgroup: 1024,
          maxComputeWorkgroupStorageSize: 49152,
        };
        const largest = Math.max(matrices.m, matrices.n, matrices.k);
        const [forward] = attention.tilesFor(matrices, headDim, limits);
        expect(forward).toMatchObject({ strip: largest, strips: 4, shares: 2, threads: 256 });
        for (const own of ["queries", "keys"] as const) {
          const [backward] = gradients.tilesFor(matrices, headDim, own, limits);
          expect(backward).toMatchObject({ blocks: 4, block: largest, shares: headDim / 64, isHeld: true });
        }
        for (const { kernel } of attentionKernels(headDim, limits)) {
          const { module } = compileModule(nothing!.device, kernel, "bf16");
          expect(await compileErrors(kernel, "bf16", module)).toEqual([]);
        }
      });
    });
  },
);
