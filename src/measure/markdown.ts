import type { Comparison } from "./comparison.ts";
import { PARTS, type BenchResult, type Line } from "./result.ts";

/** Three figures, without an exponent. */
export function figures(value: number): string {
  if (value === 0) return "0";
  const decimals = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toFixed(Math.min(decimals, 6));
}

const percent = (share: number): string => `${figures(100 * share)}%`;
const gigabytes = (bytes: number): string => `${figures(bytes / 1e9)} GB`;

const row = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;

function table(head: readonly string[], numbers: number, rows: readonly (readonly string[])[]): string {
  const alignment = head.map((_, i) => (i < head.length - numbers ? "---" : "---:"));
  return [row(head), row(alignment), ...rows.map(row)].join("\n");
}

/** In the unit that keeps figures short. */
const per = (value: number, unit: string): string =>
  value < 1e12 ? `${figures(value / 1e9)} G${unit}` : `${figures(value / 1e12)} T${unit}`;

/** Of what the roof allows less of. */
export const rate = ({ bound, flops_per_second, bytes_per_second }: Line): string =>
  bound === "compute" ? per(flops_per_second, "FLOP/s") : per(bytes_per_second, "B/s");

/** A result as a page. */
export function toMarkdown({ date, adapter, roof, lines, skipped }: BenchResult): string {
  const page = [
    `# ${adapter.name}`,
    `${date}, tier ${adapter.tier}, ${adapter.driver || adapter.architecture || adapter.vendor}. Times are medians with the range of their middle half. The roof of this run: ` +
      `${per(roof.flops.f32, "FLOP/s")} with weights in f32, ${per(roof.flops.bf16, "FLOP/s")} in bf16, copies at ${per(roof.bytes, "B/s")}.`,
  ];
  const products = roof.products.map((product) => [
    `${product.size}`,
    product.storage,
    figures(product.ms),
    per(product.flops_per_second, "FLOP/s"),
  ]);
  page.push("## square products", table(["size", "weights", "ms", "rate"], 2, products));
  for (const part of PARTS) {
    const own = lines.filter((line) => line.part === part);
    if (own.length === 0) continue;
    const withTokens = own.some((line) => line.tokens_per_second !== undefined);
    const head = [
      "model",
      part,
      "shape",
      "weights",
      "ms",
      "IQR",
      "rate",
      "of roof",
      ...(withTokens ? ["tokens/s"] : []),
    ];
    const cells = own.map((line) => [
      line.model,
      line.name,
      line.shape,
      line.storage,
      figures(line.ms.median),
      figures(line.ms.iqr),
      rate(line),
      percent(line.roof_share),
      ...(withTokens ? [line.tokens_per_second === undefined ? "" : figures(line.tokens_per_second)] : []),
    ]);
    page.push(`## ${part}`, table(head, withTokens ? 5 : 4, cells));
    for (const { model, name, memory } of own) {
      if (memory)
        page.push(`${model}, ${name}: at most ${gigabytes(memory.peak)} in use, ${gigabytes(memory.planned)} planned.`);
    }
  }
  if (skipped.length > 0) {
    const cells = skipped.map(({ part, model, name, shape, reason }) => [model, part, name, shape, reason]);
    page.push("## not measured", table(["model", "part", "name", "shape", "reason"], 0, cells));
  }
  return `${page.join("\n\n")}\n`;
}

export function comparisonToMarkdown({ changes, onlyBefore, onlyAfter }: Comparison): string {
  const cells = changes.map(({ line, before, after, speedup, clear }) => [
    line.model,
    line.name,
    line.shape,
    line.storage,
    figures(before),
    figures(after),
    `${figures(speedup)}x`,
    clear ? "" : "within the spread",
  ]);
  const page = [table(["model", "name", "shape", "weights", "ms before", "ms after", "speed", "remark"], 0, cells)];
  for (const [which, lines] of [
    ["before", onlyBefore],
    ["after", onlyAfter],
  ] as const) {
    const names = lines.map((line) => `${line.model} ${line.name} ${line.shape} ${line.storage}`);
    if (names.length > 0) page.push(`Measured ${which} alone: ${names.join("; ")}.`);
  }
  return `${page.join("\n\n")}\n`;
}
