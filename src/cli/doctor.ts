import process from "node:process";
import { MODELS } from "../measure/models.ts";
import { productChoices, ROWS } from "../measure/products.ts";
import { selfTest } from "../verify/self-test/self-test.ts";
import { openGpu, print } from "./host.ts";

/** The limits that decide what fits. */
const LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupsPerDimension",
] as const;

/** The model whose products' kernels are listed. */
const EXAMPLE = "r1-1.5b";

/** `pith doctor`: host, adapter, limits, and every kernel against its twin; 1 if one fails. */
export async function doctorCommand({ adapter }: { adapter?: string }): Promise<number> {
  const gpu = await openGpu(adapter);
  const { deno, node } = process.versions;
  print(`host      ${deno ? `Deno ${deno}` : `Node ${node}`} on ${process.platform} ${process.arch}`);
  print(`adapter   ${gpu.name}`);
  print(
    `driver    ${[gpu.info.vendor, gpu.info.architecture, gpu.info.device].filter(Boolean).join(", ") || "not named"}`,
  );
  print(`features  ${[...gpu.features].sort().join(", ") || "none"}`);
  for (const name of LIMITS) print(`limit     ${name} ${gpu.limits[name]}`);
  print(`tier      ${gpu.tier}`);
  if (gpu.matrices)
    print(`tiles     ${gpu.tuning ? "as pith tune measured" : "by rule; pith tune measures which are fastest"}`);
  print(`memory    the adapter does not say how much is free`);
  for (const storage of gpu.matrices ? (["bf16", "f32"] as const) : (["bf16"] as const)) {
    print(`products  of ${EXAMPLE} in ${storage}: kernel and workgroups`);
    const row = (name: string, cells: readonly string[]) =>
      print(`          ${name.padEnd(38)} ${cells.map((cell) => cell.padEnd(24)).join(" ")}`.trimEnd());
    row(
      "[M, K, N]",
      ROWS.map((rows) => `M = ${rows}`),
    );
    for (const { product, inputs, outputs, choices } of productChoices(gpu, MODELS[EXAMPLE]!, storage))
      row(`${product} [M, ${inputs}, ${outputs}]`, choices);
  }
  let failed = 0;
  let total = 0;
  for await (const { name, error, limit, pass } of selfTest(gpu)) {
    total++;
    if (!pass) failed++;
    print(
      `${pass ? "pass" : "FAIL"}      ${name.padEnd(44)} error ${error.toExponential(1)}, limit ${limit.toExponential(1)}`,
    );
  }
  print(`${total - failed} passed, ${failed} failed`);
  return failed > 0 ? 1 : 0;
}
