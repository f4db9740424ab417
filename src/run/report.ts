import { escapeHtml as escape } from "./chart.ts";

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

/** Problems answered side by side: at most this many. */
const EXAMPLES = 12;

/** One HTML file with nothing outside itself: no script, no font, no request. */
export function renderReport({ title, facts, metrics, before, after }: ReportData): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(title)}</title>
<style>${PAGE_STYLE}</style>
</head>
<body>
<main>
<h1>${escape(title)}</h1>
<dl class="facts">${Object.entries(facts)
    .map(([name, value]) => `<div><dt>${escape(name)}</dt><dd>${escape(String(value))}</dd></div>`)
    .join("")}</dl>
${before && after ? comparisonTable(before, after) : ""}
<section class="charts" aria-label="Training curves">${CHARTS.map((chart) => lineChart(chart, metrics)).join("")}</section>
${before && after ? sideBySide(before, after) : ""}
</main>
</body>
</html>
`;
}

function percent(value: number): string {
  return `${(100 * value).toFixed(1)}%`;
}

function comparisonTable(before: ReportEvaluation, after: ReportEvaluation): string {
  const row = (name: string, a: ReportScores, b: ReportScores) =>
    `<tr><th scope="row">${escape(name)}</th><td>${a.num_problems}</td><td>${percent(a.accuracy)}</td><td>${percent(b.accuracy)}</td>` +
    `<td>${a.mean_length.toFixed(1)}</td><td>${b.mean_length.toFixed(1)}</td><td>${percent(b.mean_length / a.mean_length - 1)}</td></tr>`;
  const rows = Object.entries(before.by_difficulty).map(([difficulty, scores]) => {
    const other = after.by_difficulty[difficulty];
    return other ? row(`difficulty ${difficulty}`, scores, other) : "";
  });
  return `<table><caption>Held-out problems, before and after</caption>
<thead><tr><th></th><th>problems</th><th>accuracy before</th><th>after</th><th>tokens before</th><th>after</th><th>change</th></tr></thead>
<tbody>${row("all", before, after)}${rows.join("")}</tbody></table>`;
}

const WIDTH = 360;
const HEIGHT = 170;
const MARGIN = { left: 52, right: 10, top: 10, bottom: 24 };

function lineChart({ title, key, format }: (typeof CHARTS)[number], metrics: ReportData["metrics"]): string {
  const points = metrics.flatMap((row) => {
    const value = row[key];
    return typeof value === "number" && Number.isFinite(value) ? [{ x: Number(row["step"]), y: value }] : [];
  });
  if (points.length === 0) return "";
  const xs = points.map((point) => point.x);
  const ys = points.map((point) => point.y);
  const [x0, x1] = [Math.min(...xs), Math.max(...xs)];
  const [low, high] = [Math.min(...ys), Math.max(...ys)];
  const room = high > low ? (high - low) * 0.05 : Math.abs(high) * 0.05 || 1;
  const [y0, y1] = [low - room, high + room];
  const px = (x: number) => MARGIN.left + ((x - x0) / (x1 - x0 || 1)) * (WIDTH - MARGIN.left - MARGIN.right);
  const py = (y: number) => HEIGHT - MARGIN.bottom - ((y - y0) / (y1 - y0)) * (HEIGHT - MARGIN.top - MARGIN.bottom);
  const path = points.map(({ x, y }, i) => `${i ? "L" : "M"}${px(x).toFixed(1)} ${py(y).toFixed(1)}`).join("");
  const label = (y: number) =>
    `<text x="${MARGIN.left - 6}" y="${(py(y) + 4).toFixed(1)}" text-anchor="end">${escape(format(y))}</text>`;
  const first = ys[0]!;
  const last = ys.at(-1)!;
  return `<figure><figcaption>${escape(title)}: ${escape(format(first))} to ${escape(format(last))}</figcaption>
<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escape(`${title} against iteration, from ${format(first)} to ${format(last)}`)}">
<path class="axis" d="M${MARGIN.left} ${MARGIN.top}V${HEIGHT - MARGIN.bottom}H${WIDTH - MARGIN.right}"/>
${label(low)}${high > low ? label(high) : ""}
<text x="${px(x0)}" y="${HEIGHT - 6}">${x0}</text><text x="${px(x1)}" y="${HEIGHT - 6}" text-anchor="end">${x1}</text>
<path class="line" d="${path}"/></svg></figure>`;
}

function sideBySide(before: ReportEvaluation, after: ReportEvaluation): string {
  const later = new Map(after.completions.map((completion) => [completion.problem_id, completion]));
  const seen = new Set<string>();
  const pairs = before.completions.filter(
    ({ problem_id }) => later.has(problem_id) && !seen.has(problem_id) && seen.add(problem_id),
  );
  const cell = ({ completion, correct, length }: ReportEvaluation["completions"][number]) =>
    `<td><p class="verdict">${correct ? "✓ right" : "✗ wrong"}, ${length} tokens</p><pre>${escape(completion)}</pre></td>`;
  const rows = pairs
    .slice(0, EXAMPLES)
    .map(
      (pair) =>
        `<tr><th scope="row"><pre>${escape(pair.prompt)}</pre>gold: ${escape(pair.answer)}</th>${cell(pair)}${cell(later.get(pair.problem_id)!)}</tr>`,
    );
  return `<table class="examples"><caption>The same problems, before and after</caption>
<thead><tr><th>problem</th><th>before</th><th>after</th></tr></thead><tbody>${rows.join("")}</tbody></table>`;
}

/** What the project's pages share: type, tables, light and dark. */
export const PAGE_STYLE = `
:root { color-scheme: light dark; --ink: light-dark(#1b1f24, #e6e6e6); --faint: light-dark(#6a737d, #9aa4ae); --line: light-dark(#0b62d6, #6cb0ff); --rule: light-dark(#d8dee4, #3a424a); --page: light-dark(#fff, #15181c); }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 1160px; margin: 0 auto; padding: 24px 16px; }
.facts { display: flex; flex-wrap: wrap; gap: 4px 28px; } .facts dt { color: var(--faint); font-size: 13px; } .facts dd { margin: 0; }
table { border-collapse: collapse; width: 100%; margin: 24px 0; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: 8px 0; } th, td { text-align: left; vertical-align: top; padding: 6px 10px; border-top: 1px solid var(--rule); }
thead th { color: var(--faint); font-weight: 500; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(300px, 1fr)); gap: 16px; }
figure { margin: 0; } figcaption { font-weight: 600; } svg { width: 100%; height: auto; }
svg text { fill: var(--faint); font-size: 11px; } .axis { fill: none; stroke: var(--rule); } .line { fill: none; stroke: var(--line); stroke-width: 2; }
pre { white-space: pre-wrap; margin: 0; font: 13px/1.4 ui-monospace, monospace; } .examples td { width: 38%; } .verdict { margin: 0; color: var(--faint); }
`;
