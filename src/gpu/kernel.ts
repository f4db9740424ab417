import { makeShaderDataDefinitions, type ShaderDataDefinitions, type StructDefinition } from "webgpu-utils";
import { ShapeError } from "../errors.ts";
import { textWithSize } from "./subgroup-size.ts";
import type { Storage } from "./tensor.ts";

/** A family of compute entry points in one WGSL file. */
export interface Kernel {
  readonly name: string;
  readonly source: string;
  /** Texts of shaders/lib files, joined in front of the source. */
  readonly includes: readonly string[];
  /** Taken out of the texts, for they come first. */
  readonly directives: readonly string[];
  /** Names of the variables with elem storage, that is, declared as array<pair>. */
  readonly pairs: ReadonlySet<string>;
}

/** WGSL wants these in front of everything else. */
const DIRECTIVE = /^(enable|diagnostic)\b.*;/gm;

export function defineKernel({
  name,
  source,
  includes = [],
}: {
  name: string;
  source: string;
  includes?: string[];
}): Kernel {
  const texts = [...includes, source];
  const declarations = texts.join("\n").matchAll(/var<storage[^>]*>\s*(\w+)\s*:\s*array<pair>/g);
  const without = (text: string) => text.replaceAll(DIRECTIVE, "");
  return {
    name,
    source: without(source),
    includes: includes.map(without),
    directives: texts.flatMap((text) => Array.from(text.matchAll(DIRECTIVE), ([directive]) => directive)),
    pairs: new Set(Array.from(declarations, (match) => match[1]!)),
  };
}

const PRELUDES: Record<Storage, string> = {
  f32: `
alias pair = vec2<f32>;
fn unpack(p: pair) -> vec2<f32> { return p; }
fn pack(v: vec2<f32>) -> pair { return v; }
`,
  // Round to nearest even; a NaN keeps a mantissa bit, so that it does not become an infinity.
  bf16: `
alias pair = u32;
fn unpack(p: pair) -> vec2<f32> { return vec2(bitcast<f32>(p << 16u), bitcast<f32>(p & 0xffff0000u)); }
fn pack(v: vec2<f32>) -> pair {
  let b = bitcast<vec2<u32>>(v);
  let rounded = (b + 0x7fffu + ((b >> vec2(16u)) & vec2(1u))) >> vec2(16u);
  let h = select(rounded, (b >> vec2(16u)) | vec2(0x40u), (b & vec2(0x7fffffffu)) > vec2(0x7f800000u));
  return h.x | (h.y << 16u);
}
`,
};

/** What the host puts in front of a kernel's own text: directives, the storage of elem tensors, the includes. */
export const preamble = (kernel: Kernel, storage: Storage): string =>
  `${kernel.directives.join("\n")}${PRELUDES[storage]}${kernel.includes.join("\n")}\n`;

/** A kernel compiled for one storage: its module and what the WGSL says of its variables. */
export interface Module {
  readonly module: GPUShaderModule;
  readonly definitions: ShaderDataDefinitions;
}

export interface ParamsField {
  name: string;
  word: number;
  isFloat: boolean;
}

/** An entry point ready to be dispatched. */
export interface Pipeline {
  readonly id: number;
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
  /** Storage variables that the entry point uses, by binding number. */
  readonly variables: readonly { name: string; binding: number; writable: boolean }[];
  /** Bytes of the uniform struct, 0 if the entry point has none. */
  readonly paramsSize: number;
  /** Its fields, by name, with their offsets in 32-bit words. */
  readonly fields: readonly ParamsField[];
}

/** `subgroupSize`: of kernels with subgroups, where it is not left to the compiler. */
export function compileModule(
  device: GPUDevice,
  kernel: Kernel,
  storage: Storage,
  subgroupSize: number | null = null,
): Module {
  const code = preamble(kernel, storage) + kernel.source;
  const isSized = subgroupSize !== null && kernel.directives.some((directive) => directive.includes("subgroup"));
  return {
    module: device.createShaderModule({ label: kernel.name, code: isSized ? textWithSize(code, subgroupSize) : code }),
    definitions: makeShaderDataDefinitions(withoutMatrices(code)),
  };
}

/** webgpu-utils reads variables out of the text and does not know subgroup matrices, which are none of them. */
const withoutMatrices = (code: string): string =>
  code.replaceAll(/\bsubgroup_matrix_\w+<[^>]*>/g, "f32").replaceAll(/\b(subgroupMatrix\w+)<[^>]*>/g, "$1");

/** Params structs hold scalars alone, which keeps writing them out of the profile of a decode step. */
function scalarFields({ fields }: StructDefinition, kernel: string): ParamsField[] {
  return Object.entries(fields).map(([name, { offset, type }]) => {
    const scalar = (type as { type?: string }).type;
    if (scalar !== "f32" && scalar !== "u32")
      throw new ShapeError(`${kernel}: expected Params.${name} to be f32 or u32, got ${scalar}`);
    return { name, word: offset / 4, isFloat: scalar === "f32" };
  });
}

let nextPipelineId = 1;

export function createPipeline(
  device: GPUDevice,
  kernel: Kernel,
  { module, definitions }: Module,
  entryPoint: string,
  constants: Record<string, number>,
): Pipeline {
  const resources = definitions.entryPoints[entryPoint]?.resources;
  if (!resources) throw new Error(`kernel ${kernel.name} has no entry point ${entryPoint}`);

  const uniform = resources.find((r) => r.name === "params");
  const variables = resources
    .filter((r) => r !== uniform)
    .map((r) => ({
      name: r.name,
      binding: r.entry.binding,
      writable: (r.entry as GPUBindGroupLayoutEntry).buffer?.type === "storage",
    }));
  const entries: GPUBindGroupLayoutEntry[] = variables.map(({ binding, writable }) => ({
    binding,
    visibility: GPUShaderStage.COMPUTE,
    buffer: { type: writable ? "storage" : "read-only-storage" },
  }));
  if (uniform) {
    // One buffer holds the parameters of many dispatches, so that bind groups depend on tensors alone.
    const { binding } = uniform.entry;
    entries.push({ binding, visibility: GPUShaderStage.COMPUTE, buffer: { type: "uniform", hasDynamicOffset: true } });
  }
  const layout = device.createBindGroupLayout({ label: `${kernel.name}.${entryPoint}`, entries });
  const definition = uniform && definitions.uniforms["params"];
  return {
    id: nextPipelineId++,
    layout,
    variables,
    paramsSize: definition?.size ?? 0,
    pipeline: device.createComputePipeline({
      label: `${kernel.name}.${entryPoint}`,
      layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module, entryPoint, constants },
    }),
    fields: definition ? scalarFields(definition.typeDefinition as StructDefinition, kernel.name) : [],
  };
}

/** Errors of the compiler as "shaders/<name>.wgsl:line:column message", the line being the one in the file. */
export async function compileErrors(kernel: Kernel, storage: Storage, module: GPUShaderModule): Promise<string[]> {
  const info = await module.getCompilationInfo();
  const before = preamble(kernel, storage).split("\n").length - 1;
  return info.messages
    .filter((m) => m.type === "error")
    .map((m) => {
      const line = m.lineNum - before;
      const place =
        line > 0 ? `shaders/${kernel.name}.wgsl:${line}:${m.linePos}` : `${kernel.name}, includes, line ${m.lineNum}`;
      return `${place} ${m.message}`;
    });
}
