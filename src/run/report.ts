import { ITERATIONS } from "../charts/chart.ts";
import { renderChart } from "../charts/static.ts";
import { percent } from "../core/format.ts";
import { html, type Html } from "../core/html.ts";
import { renderPage } from "./page.ts";

/** What report.html shows. Rows are metrics.jsonl's; the evaluations are before and after training, on the same problems. */
export interface ReportData {
  title: string;
  /** Lines under the title: model, adapter, alpha and the like. */
  facts: Readonly<Record<string, string | number>>;
  metrics: readonly Readonly<Record<string, unknown>>[];
  before: ReportEvaluation | null;
  after: ReportEvaluation | null;
}

export interface ReportScores {
  num_problems: number;
  accuracy: number;
  mean_length: number;
  clipped_ratio: number;
}

export interface ReportEvaluation extends ReportScores {
  by_difficulty: Readonly<Record<string, ReportScores>>;
  completions: readonly {
    problem_id: string;
    difficulty: string | number;
    prompt: string;
    completion: string;
    answer: string;
    correct: boolean;
    length: number;
  }[];
}

/** The charts: title, key in metrics.jsonl, and how a value is written. */
const CHARTS: { title: string; key: string; format: (value: number) => string }[] = [
  { title: "Reward", key: "reward", format: (v) => v.toFixed(3) },
  { title: "Accuracy", key: "accuracy", format: percent },
  { title: "Mean response tokens", key: "completions/mean_length", format: (v) => v.toFixed(1) },
  { title: "Truncated responses", key: "completions/clipped_ratio", format: percent },
  { title: "KL to the reference", key: "kl", format: (v) => v.toPrecision(2) },
  { title: "Entropy", key: "entropy", format: (v) => v.toFixed(3) },
];

/** Iterations of the running mean that is drawn over each curve. */
const SMOOTHING = 10;

/** Problems answered side by side: at most this many. */
const EXAMPLES = 12;

/** The page of one training run: curves, and the held-out problems before and after. */
export function renderReport({ title, facts, metrics, before, after }: ReportData): string {
  return renderPage({
    title,
    facts,
    style: STYLE,
    body: html`${before && after ? comparisonTable(before, after) : ""}
      <section class="charts" aria-label="Training curves">${CHARTS.map((chart) => lineChart(chart, metrics))}</section>
      ${before && after ? sideBySide(before, after) : ""}`,
  });
}

function comparisonTable(before: ReportEvaluation, after: ReportEvaluation): Html {
  const row = (name: string, a: ReportScores, b: ReportScores) =>
    html`<tr>
      <th scope="row">${name}</th>
      <td>${a.num_problems}</td>
      <td>${percent(a.accuracy)}</td>
      <td>${percent(b.accuracy)}</td>
      <td>${a.mean_length.toFixed(1)}</td>
      <td>${b.mean_length.toFixed(1)}</td>
      <td>${percent(b.mean_length / a.mean_length - 1)}</td>
    </tr>`;
  const rows = Object.entries(before.by_difficulty).map(([difficulty, scores]) => {
    const other = after.by_difficulty[difficulty];
    return other ? row(`difficulty ${difficulty}`, scores, other) : html``;
  });
  return html`<table>
    <caption>
      Held-out problems, before and after
    </caption>
    <thead>
      <tr>
        <th></th>
        <th>problems</th>
        <th>accuracy before</th>
        <th>after</th>
        <th>tokens before</th>
        <th>after</th>
        <th>change</th>
      </tr>
    </thead>
    <tbody>
      ${row("all", before, after)}${rows}
    </tbody>
  </table>`;
}

function lineChart({ title, key, format }: (typeof CHARTS)[number], metrics: ReportData["metrics"]): Html {
  const points = metrics.flatMap((row) => {
    const value = row[key];
    return typeof value === "number" && Number.isFinite(value) ? [{ x: Number(row["step"]), y: value }] : [];
  });
  if (points.length === 0) return html``;
  return renderChart({
    title,
    headline: `${format(points[0]!.y)} to ${format(points.at(-1)!.y)}`,
    x: ITERATIONS,
    y: { label: title.toLowerCase(), format },
    series: [{ name: title, points, line: "solid", smooth: SMOOTHING }],
  });
}

function sideBySide(before: ReportEvaluation, after: ReportEvaluation): Html {
  const later = new Map(after.completions.map((completion) => [completion.problem_id, completion]));
  const seen = new Set<string>();
  const pairs = before.completions.filter(
    ({ problem_id }) => later.has(problem_id) && !seen.has(problem_id) && seen.add(problem_id),
  );
  const cell = ({ completion, correct, length }: ReportEvaluation["completions"][number]) =>
    html`<td>
      <p class="verdict">${correct ? "✓ right" : "✗ wrong"}, ${length} tokens</p>
      <pre>${completion}</pre>
    </td>`;
  const rows = pairs.slice(0, EXAMPLES).map(
    (pair) =>
      html`<tr>
        <th scope="row">
          <pre>${pair.prompt}</pre>
          gold: ${pair.answer}
        </th>
        ${cell(pair)}${cell(later.get(pair.problem_id)!)}
      </tr>`,
  );
  return html`<table class="examples">
    <caption>
      The same problems, before and after
    </caption>
    <thead>
      <tr>
        <th>problem</th>
        <th>before</th>
        <th>after</th>
      </tr>
    </thead>
    <tbody>
      ${rows}
    </tbody>
  </table>`;
}

const STYLE = `
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); gap: 16px; }
pre { white-space: pre-wrap; margin: 0; font: 13px/1.4 ui-monospace, monospace; } .examples td { width: 38%; } .verdict { margin: 0; color: var(--faint); }
`;
