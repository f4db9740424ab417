import { ITERATIONS, type Series } from "../charts/chart.ts";
import { renderChart } from "../charts/static.ts";
import { percent, wholePercent } from "../core/format.ts";
import { html, type Html } from "../core/html.ts";
import { runningMean } from "../core/statistics.ts";
import { difference, shortest } from "../run/difference.ts";
import { renderPage, tableCard } from "../run/page.ts";
import { renderTradeOff } from "../run/trade-off.ts";
import type { Claim } from "./claims.ts";
import { strengthLabel } from "./experiment.ts";
import { accuracyText, byExperiment, pointOf, tokensText, type Outcome, type ResultRow } from "./results.ts";

/** Iterations of the running mean in the paper's figure 2. */
const SMOOTHING = 25;

const whole = (value: number) => String(Math.round(value));

export interface ReproducePage {
  /** Lines under the title: adapter, seeds, iterations and the like. */
  facts: Readonly<Record<string, string | number>>;
  rows: readonly ResultRow[];
  outcomes: readonly Outcome[];
  claims: readonly Claim[];
}

/** reproduce.html: the paper's tables and figures on the bundled reasoner. */
export function renderReproduction({ facts, rows, outcomes, claims }: ReproducePage): string {
  return renderPage({
    title: "Pith: the paper on the bundled reasoner",
    ...opening(rows, claims),
    facts,
    body: html`<section class="figures" aria-label="Figures">
        ${renderTradeOff("Accuracy against tokens (figures 3, 4 and 7)", rows.map(pointOf))}
        ${dynamics(outcomes, "accuracy", "Training accuracy", percent)}
        ${dynamics(outcomes, "mean_length", "Training response tokens", whole)} ${checkpoints(outcomes)}
        ${normalisation(outcomes, "mean_length", "response tokens", whole)}
        ${normalisation(outcomes, "accuracy", "accuracy", wholePercent)}
      </section>
      ${claimsTable(claims)}${resultsTable(rows)}`,
  });
}

/** The shortest of the paper's method that is about as accurate as the base model at its full length. */
function opening(rows: readonly ResultRow[], claims: readonly Claim[]): { sentence: string | null; lead: Html } {
  const base = rows.filter(({ method }) => method === "Base").toSorted((a, b) => b.context - a.context)[0];
  const best =
    base &&
    shortest(
      rows.filter(({ method }) => method === "RL"),
      base,
    );
  const held = claims.filter(({ holds }) => holds).length;
  return {
    sentence: base && best ? difference(base, best) : null,
    lead: html`${best ? `At alpha ${best.strength}, against the model as it was. ` : ""}Arora &amp; Zanette, Training
    Language Models to Reason Efficiently (2025), on a model of 205,504 parameters and held-out sums: ${held} of
    ${claims.length} claims hold. Base is the model as it was, generation cut off at a limit.`,
  };
}

const claimsTable = (claims: readonly Claim[]): Html =>
  tableCard(
    "The paper's claims on this model",
    ["claim", "here", "seen"],
    claims.map(({ claim, source, seen, holds }) => [
      html`${claim}<br /><small>${source}</small>`,
      holds ? "✓ holds" : "✗ does not hold",
      seen,
    ]),
  );

const resultsTable = (rows: readonly ResultRow[]): Html =>
  tableCard(
    "Results in the columns of the paper's tables 1 to 6: means over seeds and 95% intervals",
    ["Model type", "α", "Tokens", "Avg. pass rate", "Ctx."],
    rows.map((row) => [row.method, row.strength ?? "-", tokensText(row), accuracyText(row), row.context]),
  );

const meanOver = (curves: readonly number[][]): number[] =>
  curves[0]!.map((_, i) => curves.reduce((sum, curve) => sum + curve[i]!, 0) / curves.length);

/** Figure 2: one curve for each alpha, its mean over seeds, smoothed. */
function dynamics(
  outcomes: readonly Outcome[],
  key: "accuracy" | "mean_length",
  label: string,
  format: (value: number) => string,
): Html {
  const series = byExperiment(outcomes.filter(({ method }) => method === "RL")).map((group): Series => {
    const curve = runningMean(meanOver(group.map((outcome) => outcome.dynamics.map((point) => point[key]))), SMOOTHING);
    return { name: strengthLabel(group[0]!)!, line: "solid", points: curve.map((y, i) => ({ x: i + 1, y })) };
  });
  return renderChart({
    title: `${label} (figure 2, mean of the last ${SMOOTHING} iterations)`,
    x: ITERATIONS,
    y: { label: label.toLowerCase(), format },
    series,
  });
}

/** Figure 5: held-out accuracy against tokens along training. */
function checkpoints(outcomes: readonly Outcome[]): Html {
  const series = byExperiment(outcomes.filter(({ method }) => method === "RL")).map((group): Series => {
    const iterations = group[0]!.checkpoints.map(({ iteration }) => iteration);
    const at = (i: number, key: "accuracy" | "mean_length") =>
      group.reduce((sum, outcome) => sum + outcome.checkpoints[i]![key], 0) / group.length;
    const end = (key: "accuracy" | "mean_length") =>
      group.reduce((sum, { final }) => sum + final[key], 0) / group.length;
    return {
      name: strengthLabel(group[0]!)!,
      line: "solid",
      markers: true,
      points: [
        ...iterations.map((iteration, i) => ({ x: at(i, "mean_length"), y: at(i, "accuracy"), label: `${iteration}` })),
        { x: end("mean_length"), y: end("accuracy") },
      ],
    };
  });
  return renderChart({
    title: "Along training (figure 5, labelled with the iteration)",
    x: { label: "mean tokens of a response", format: (tokens) => tokens.toFixed(1), tick: String },
    y: { label: "pass rate", format: percent, tick: wholePercent },
    series,
  });
}

/** Figure 6: the same alpha with advantages as they are and normalised by their group. */
function normalisation(
  outcomes: readonly Outcome[],
  key: "accuracy" | "mean_length",
  label: string,
  format: (value: number) => string,
): Html {
  const normalised = outcomes.filter(({ method }) => method === "RL, normalised");
  const alphas = new Set(normalised.map(({ strength }) => strength));
  const plain = outcomes.filter(({ method, strength }) => method === "RL" && alphas.has(strength));
  const series = byExperiment([...plain, ...normalised]).map((group): Series => {
    const curve = runningMean(meanOver(group.map((outcome) => outcome.dynamics.map((point) => point[key]))), 5);
    return {
      name: `${group[0]!.method === "RL" ? "as they are" : "normalised"}, ${strengthLabel(group[0]!)}`,
      line: "solid",
      points: curve.map((y, i) => ({ x: i + 1, y })),
    };
  });
  return renderChart({
    title: `Advantages as they are and normalised: ${label} (figure 6)`,
    x: ITERATIONS,
    y: { label, format },
    series,
  });
}
