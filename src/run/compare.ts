import type { PaperTable } from "./paper-tables.ts";
import { html, type Html } from "../core/html.ts";
import { difference, shortest } from "./difference.ts";
import { renderPage, tableCard } from "./page.ts";
import { renderTradeOff, type TradeOffPoint } from "./trade-off.ts";

/** A point of a run, by the name that the table gives it. */
export interface ComparedRun extends TradeOffPoint {
  name: string;
}

/** Runs side by side, in a table and as figure 3, and below them the paper's published tables drawn the same way. */
export function renderComparison(runs: readonly ComparedRun[], paper: readonly PaperTable[]): string {
  const rows = runs.map(({ name, method, label, tokens, accuracy }) => [
    name,
    method,
    label ?? "-",
    tokens.toFixed(1),
    accuracy.toFixed(3),
  ]);
  const published = paper.map(({ table, dataset, model, rows: points }) =>
    renderTradeOff(
      `${dataset}, ${model} (the paper, table ${table})`,
      points.map(({ alpha, ...point }) => ({ ...point, label: alpha === null ? null : `α ${alpha}` })),
    ),
  );
  return renderPage({
    title: "Pith: runs compared",
    ...opening(runs),
    facts: { runs: runs.length },
    body: html`<section class="figures" aria-label="These runs">${renderTradeOff("These runs", runs)}</section>
      ${tableCard("These runs", ["run", "model type", "strength", "tokens", "avg. pass rate"], rows)}
      <h2>As published</h2>
      <p>
        Arora &amp; Zanette, Training Language Models to Reason Efficiently (2025), appendix E. Distill is the model as
        it was, cut off at 8k to 32k tokens.
      </p>
      <section class="figures" aria-label="The paper's results">${published}</section>`,
  });
}

/** The shortest run that is about as accurate as the base model, or as the longest run where there is no base. */
function opening(runs: readonly ComparedRun[]): { sentence: string | null; lead?: Html } {
  const longest = (some: readonly ComparedRun[]) => some.toSorted((a, b) => b.tokens - a.tokens)[0];
  const base = longest(runs.filter(({ method }) => method === "Base")) ?? longest(runs);
  const best = base && shortest(runs, base);
  if (!best) return { sentence: null };
  return { sentence: difference(base, best), lead: html`${best.name}, against ${base.name}.` };
}
