import type { KernelCase, KernelShape } from "../kernel-case.ts";
import { attentionCases } from "./attention.ts";
import { headCases } from "./head.ts";
import { linearCases } from "./linear.ts";
import { optimizerCases } from "./optimizer.ts";
import { rowCases } from "./rows.ts";

/** Every kernel on a model's shapes: those that go by rows at each number of them, the optimizer's once. */
export function kernelCases(shape: Omit<KernelShape, "rows">, rows: readonly number[]): KernelCase[] {
  const byRows = rows.map((count) => ({ ...shape, rows: count }));
  return [
    ...byRows.flatMap((at) => [...linearCases(at), ...attentionCases(at), ...rowCases(at), ...headCases(at)]),
    ...optimizerCases({ ...shape, rows: 1 }),
  ];
}
