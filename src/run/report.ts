import { ITERATIONS, type Point } from "../charts/chart.ts";
import { renderChart } from "../charts/static.ts";
import { percent, wholePercent } from "../core/format.ts";
import { html, type Html } from "../core/html.ts";
import { difference, type Measured } from "./difference.ts";
import { renderPage, tableCard } from "./page.ts";
import type { SamplerShare } from "./sampler-share.ts";

/** What report.html shows. Rows are metrics.jsonl's; the evaluations are before and after training, on the same problems. */
export interface ReportData {
  title: string;
  /** Lines under the title: model, adapter, alpha and the like. */
  facts: Readonly<Record<string, string | number>>;
  metrics: readonly Readonly<Record<string, unknown>>[];
  /** Who sampled, where it was a fleet. */
  samplers: readonly SamplerShare[];
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

/** The curves: title, key in metrics.jsonl, and how a value is written. */
const CURVES: { title: string; key: string; format: (value: number) => string }[] = [
  { title: "Mean response tokens", key: "completions/mean_length", format: (v) => v.toFixed(1) },
  { title: "Accuracy", key: "accuracy", format: percent },
  { title: "Reward", key: "reward", format: (v) => v.toFixed(3) },
  { title: "Truncated responses", key: "completions/clipped_ratio", format: percent },
  { title: "KL to the reference", key: "kl", format: (v) => v.toPrecision(2) },
  { title: "Entropy", key: "entropy", format: (v) => v.toFixed(3) },
];

/** Iterations of the running mean that is drawn over each curve. */
const SMOOTHING = 10;

/** Problems answered side by side: at most this many. */
const EXAMPLES = 12;

/** The page of one training run: what it changed, curves, and the held-out problems before and after. */
export function renderReport({ title, facts, metrics, samplers, before, after }: ReportData): string {
  return renderPage({
    title,
    ...opening(metrics, before, after),
    facts,
    style: STYLE,
    body: html`<section class="figures" aria-label="Charts">
        ${before && after ? shift(before, after) : ""}${CURVES.map((curve) => lineChart(curve, metrics))}
      </section>
      ${samplers.length > 0 ? samplersTable(samplers) : ""}
      ${before && after ? html`${comparisonTable(before, after)}${sideBySide(before, after)}` : ""}`,
  });
}

const measured = ({ mean_length: tokens, accuracy }: ReportScores): Measured => ({ tokens, accuracy });

/** By held-out problems where they were answered, else by the responses that training drew. */
function opening(
  metrics: ReportData["metrics"],
  before: ReportEvaluation | null,
  after: ReportEvaluation | null,
): { sentence: string | null; lead?: Html } {
  if (before && after)
    return {
      sentence: difference(measured(before), measured(after)),
      lead: html`On ${after.num_problems} held-out problems: from ${before.mean_length.toFixed(1)} to
      ${after.mean_length.toFixed(1)} tokens, and from ${percent(before.accuracy)} to ${percent(after.accuracy)} right.`,
    };
  const ends = [metrics.slice(0, SMOOTHING), metrics.slice(-SMOOTHING)].map((rows) => ({
    tokens: mean(rows.map((row) => row["completions/mean_length"])),
    accuracy: mean(rows.map((row) => row["accuracy"])),
  }));
  const [from, to] = ends as [Measured, Measured];
  if (metrics.length < 2 * SMOOTHING || ends.some(({ tokens, accuracy }) => Number.isNaN(tokens + accuracy)))
    return { sentence: null };
  return {
    sentence: difference(from, to),
    lead: html`In training, the last ${SMOOTHING} of ${metrics.length} iterations against the first ${SMOOTHING}.`,
  };
}

const mean = (values: readonly unknown[]): number =>
  values.reduce<number>((sum, value) => sum + (typeof value === "number" ? value : NaN), 0) / values.length;

/** Where training moved each difficulty in the plane of accuracy and tokens. */
function shift(before: ReportEvaluation, after: ReportEvaluation): Html {
  const points = ({ by_difficulty, ...all }: ReportEvaluation): Point[] => [
    { x: all.mean_length, y: all.accuracy, label: "all" },
    ...Object.entries(by_difficulty).map(([name, { mean_length, accuracy }]) => ({
      x: mean_length,
      y: accuracy,
      label: name,
    })),
  ];
  return renderChart({
    title: "Accuracy against tokens, by difficulty",
    x: { label: "mean tokens of a response", format: (tokens) => tokens.toFixed(1), tick: String },
    y: { label: "accuracy", format: percent, tick: wholePercent },
    series: [
      { name: "before", points: points(before), markers: true },
      { name: "after", points: points(after), markers: true },
    ],
  });
}

function comparisonTable(before: ReportEvaluation, after: ReportEvaluation): Html {
  const row = (name: string, a: ReportScores, b: ReportScores) => [
    name,
    a.num_problems,
    percent(a.accuracy),
    percent(b.accuracy),
    a.mean_length.toFixed(1),
    b.mean_length.toFixed(1),
    percent(b.mean_length / a.mean_length - 1),
  ];
  const rows = Object.entries(before.by_difficulty).flatMap(([difficulty, scores]) => {
    const other = after.by_difficulty[difficulty];
    return other ? [row(difficulty, scores, other)] : [];
  });
  return tableCard(
    "Held-out problems, before and after",
    ["difficulty", "problems", "accuracy before", "after", "tokens before", "after", "change"],
    [row("all", before, after), ...rows],
  );
}

function samplersTable(samplers: readonly SamplerShare[]): Html {
  const all = samplers.reduce((sum, { tokens }) => sum + tokens, 0);
  return tableCard(
    "Who sampled what",
    ["worker", "adapter", "responses", "tokens", "share"],
    samplers.map(({ worker, adapter, responses, tokens }) => [
      worker,
      adapter ?? "not known",
      responses,
      tokens,
      percent(tokens / all),
    ]),
  );
}

function lineChart({ title, key, format }: (typeof CURVES)[number], metrics: ReportData["metrics"]): Html {
  const points = metrics.flatMap((row) => {
    const value = row[key];
    return typeof value === "number" && Number.isFinite(value) ? [{ x: Number(row["step"]), y: value }] : [];
  });
  if (points.length === 0) return html``;
  return renderChart({
    title,
    headline: `${format(points[0]!.y)} → ${format(points.at(-1)!.y)}`,
    x: ITERATIONS,
    y: { label: "", format },
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
      <p class="verdict">
        ${correct ? html`<b class="right">✓ right</b>` : html`<b class="wrong">✗ wrong</b>`}, ${length} tokens
      </p>
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
  if (rows.length === 0) return html``;
  return html`<div class="card">
    <table class="examples">
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
    </table>
  </div>`;
}

const STYLE = `
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; font: 13px/1.45 var(--mono); } .examples td { width: 38%; } .verdict { font-size: 13px; color: var(--faint); }
.right { color: var(--correct); } .wrong { color: var(--wrong); }
@media (max-width: 640px) { .examples, .examples tbody, .examples tr, .examples th, .examples td { display: block; width: auto; } .examples thead { display: none; } }
`;
