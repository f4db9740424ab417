import type { Series } from "../charts/chart.ts";
import { renderChart } from "../charts/static.ts";
import { wholePercent } from "../core/format.ts";
import { html, type Html } from "../core/html.ts";
import { paretoFront } from "../core/pareto.ts";
import { difference, shortest } from "../run/difference.ts";
import { renderPage, tableCard } from "../run/page.ts";
import { PASS_RATE, TOKENS } from "../run/trade-off.ts";
import type { AlphaOrder, MethodSummary } from "./arena.ts";
import { ARENA_METHODS, LEFT_OUT } from "./arena-plan.ts";
import { strengthLabel } from "./experiment.ts";
import { accuracyText, tokensText, type ResultRow } from "./results.ts";

/** This paper's. */
const OURS = "sigmoid";

export interface ArenaPage {
  /** Lines under the title: adapter, seeds, budget and the like. */
  facts: Readonly<Record<string, string | number>>;
  base: ResultRow;
  /** Every method at its strengths. */
  rows: readonly ResultRow[];
  /** The largest area first. */
  methods: readonly MethodSummary[];
  orders: readonly AlphaOrder[];
}

/** arena.html: every method on the same budget, and what alpha does under each normalisation. */
export function renderArena(page: ArenaPage): string {
  const { facts, base, rows, methods, orders } = page;
  return renderPage({
    title: "Pith: ways of shortening, on one budget",
    ...opening(page),
    facts,
    body: html`<section class="figures" aria-label="All methods">${overview(rows, base)}</section>
      ${methodsTable(methods)}
      <p>
        The area is that under a method's own front: the accuracy of its best run within t tokens, 0 where it has none,
        averaged over t from 0 to the base model's ${base.tokens.toFixed(1)} tokens; taken seed by seed. Left out:
        ${LEFT_OUT}.
      </p>
      <section class="figures" aria-label="Each method">
        ${methods.map(({ method }) => methodChart(method, rows, base))}
      </section>
      ${resultsTable(rows, base)}${difficultyTable(rows, base)}
      <h2>Does alpha order the lengths?</h2>
      <p>
        This paper's method, with advantages as they are (its section 5.4), divided by their deviation over the batch
        (its released code) and over each group (GRPO). In order: every larger alpha gives fewer tokens, by the means
        over seeds; apart: of the pairs of neighbours those whose intervals do not meet.
      </p>
      <section class="figures" aria-label="Alpha under each normalisation">
        ${ordersChart(orders, "tokens")}${ordersChart(orders, "accuracy")}
      </section>
      ${ordersTable(orders)}`,
  });
}

const areaOf = ({ area, areaHalf }: MethodSummary) =>
  areaHalf > 0 ? `${area.toFixed(3)} ± ${areaHalf.toFixed(3)}` : area.toFixed(3);
const scalingOf = (method: string) => method.split(", ")[1] ?? "none";

/** The shortest run that is about as accurate as the base model; then who leads by area, and whether alpha is a knob. */
function opening({ base, rows, methods, orders }: ArenaPage): { sentence: string; lead: Html } {
  const best = shortest(rows, base);
  const [first] = methods;
  const place = methods.findIndex(({ method }) => method === OURS);
  const ordering = orders.map(({ method, ordered }) => `${scalingOf(method)}: ${ordered ? "yes" : "no"}`).join(", ");
  return {
    sentence: best
      ? `${best.method}, ${strengthLabel(best)}: ${difference(base, best)}`
      : "Nothing is shorter and about as accurate as the base model",
    lead: html`${
      best ? "The shortest that loses at most a point, against the model as it was. " : ""
    }${first ? `By the area under its front ${first.method} leads with ${areaOf(first)}` : ""}${
      place > 0
        ? `; this paper's method (${OURS}) is number ${place + 1} of ${methods.length} with ${areaOf(methods[place]!)}`
        : ""
    }.
    Does alpha order the lengths, by scale_rewards? ${ordering}.`,
  };
}

const place = (row: ResultRow, label: string | null) => ({
  x: row.tokens,
  y: row.accuracy,
  halfX: row.tokensHalf,
  halfY: row.accuracyHalf,
  ...(label === null ? {} : { label }),
});

const basePoint = (base: ResultRow): Series => ({ name: "base", markers: true, points: [place(base, null)] });

const frontLine = (rows: readonly ResultRow[]): Series => ({
  name: "Pareto front",
  line: "dashed",
  points: paretoFront(rows).map((row) => ({ x: row.tokens, y: row.accuracy })),
});

const byTokens = (rows: readonly ResultRow[]) => rows.toSorted((a, b) => a.tokens - b.tokens);

/** All runs in one: this paper's, and of the others those that nothing beats by name. */
function overview(rows: readonly ResultRow[], base: ResultRow): Html {
  const front = new Set(paretoFront(rows));
  const others = rows.filter(({ method }) => method !== OURS);
  const ours = byTokens(rows.filter(({ method }) => method === OURS));
  const named = (row: ResultRow) => place(row, `${row.method} ${row.strength}`);
  return renderChart({
    title: "Accuracy against tokens, all methods",
    x: TOKENS,
    y: PASS_RATE,
    series: [
      {
        name: "this paper",
        line: "solid",
        markers: true,
        points: ours.map((row) => place(row, strengthLabel(row))),
      },
      { name: "others, unbeaten", markers: true, points: others.filter((row) => front.has(row)).map(named) },
      {
        name: "others, beaten",
        markers: true,
        // Without intervals, which each method's own chart has: so many would hide the rest.
        points: others.filter((row) => !front.has(row)).map(({ tokens: x, accuracy: y }) => ({ x, y })),
      },
      basePoint(base),
      frontLine(rows),
    ],
  });
}

/** One method beside this paper's. */
function methodChart(method: string, rows: readonly ResultRow[], base: ResultRow): Html {
  const own = byTokens(rows.filter((row) => row.method === method));
  const ours = byTokens(rows.filter((row) => row.method === OURS));
  const curve = (name: string, of: readonly ResultRow[], isLabelled: boolean): Series => ({
    name,
    line: "solid",
    markers: true,
    points: of.map((row) => place(row, isLabelled ? String(row.strength) : null)),
  });
  return renderChart({
    title: `${method}, by ${own[0]?.knob ?? "strength"}`,
    x: TOKENS,
    y: PASS_RATE,
    series: [
      curve(method, own, true),
      ...(method === OURS ? [] : [curve("this paper", ours, false)]),
      basePoint(base),
      frontLine(rows),
    ],
  });
}

const methodsTable = (methods: readonly MethodSummary[]): Html =>
  tableCard(
    "Methods, by the area under the front of their strengths: means over seeds and 95% intervals",
    ["Method", "Area", "Strengths on the front of all", "Knob", "Advantages"],
    methods.map((summary) => {
      const { knob, advantages } = ARENA_METHODS.find(({ name }) => name === summary.method)!;
      return [summary.method, areaOf(summary), summary.onFront, knob, advantages];
    }),
  );

function resultsTable(rows: readonly ResultRow[], base: ResultRow): Html {
  const front = new Set(paretoFront(rows));
  return tableCard(
    "Every strength: means over seeds and 95% intervals; what a run sampled, and its seconds of sampling and training",
    ["Method", "Strength", "Tokens", "Avg. pass rate", "Unbeaten", "Tokens sampled", "Seconds"],
    [base, ...rows].map((row) => [
      row.method,
      strengthLabel(row) ?? "-",
      tokensText(row),
      accuracyText(row),
      front.has(row) ? "✓" : "",
      Math.round(row.sampledTokens).toLocaleString("en-US"),
      Math.round(row.seconds),
    ]),
  );
}

function difficultyTable(rows: readonly ResultRow[], base: ResultRow): Html {
  const difficulties = Object.keys(base.tokensByDifficulty);
  return tableCard(
    "Tokens by difficulty, and their change against the base model",
    ["Method", "Strength", ...difficulties.map((difficulty) => `Difficulty ${difficulty}`)],
    [base, ...rows].map((row) => [
      row.method,
      strengthLabel(row) ?? "-",
      ...difficulties.map((difficulty) => {
        const tokens = row.tokensByDifficulty[difficulty]!;
        if (row === base) return tokens.toFixed(1);
        return `${tokens.toFixed(1)} (${wholePercent(tokens / base.tokensByDifficulty[difficulty]! - 1)})`;
      }),
    ]),
  );
}

function ordersChart(orders: readonly AlphaOrder[], what: "tokens" | "accuracy"): Html {
  const half = { tokens: "tokensHalf", accuracy: "accuracyHalf" } as const;
  return renderChart({
    title: what === "tokens" ? "Tokens by alpha" : "Pass rate by alpha",
    x: { label: "alpha", format: String },
    y: what === "tokens" ? TOKENS : PASS_RATE,
    series: orders.map(({ method, rows }): Series => ({
      name: scalingOf(method),
      line: "solid",
      markers: true,
      points: rows.map((row) => ({
        x: row.strength!,
        y: row[what],
        halfY: row[half[what]],
        label: String(row.strength),
      })),
    })),
  });
}

const ordersTable = (orders: readonly AlphaOrder[]): Html =>
  tableCard(
    "Tokens and pass rate by alpha and scale_rewards: means over seeds and 95% intervals",
    ["scale_rewards", ...(orders[0]?.rows ?? []).map(({ strength }) => `α ${strength}`), "In order", "Apart"],
    orders.map(({ method, rows, ordered, apart }) => [
      scalingOf(method),
      ...rows.map((row) => html`${tokensText(row)}<br /><small>${accuracyText(row)}</small>`),
      ordered ? "✓ yes" : "✗ no",
      apart === null ? "one seed" : `${apart} of ${rows.length - 1}`,
    ]),
  );
