import { html, type Html } from "./html.ts";

/** A series of an x-y chart; drawn as a line, as points, or both. Markers tell series apart without colour. */
export interface Series {
  name: string;
  points: readonly { x: number; y: number; label?: string; halfX?: number; halfY?: number }[];
  line: boolean;
  markers: boolean;
}

export interface Chart {
  title: string;
  xLabel: string;
  yLabel: string;
  series: readonly Series[];
  formatX: (value: number) => string;
  formatY: (value: number) => string;
}

const WIDTH = 640;
const HEIGHT = 360;
const MARGIN = { left: 64, right: 16, top: 12, bottom: 46 };
const SIZE = 5;

/** One shape for each series in turn, around (x, y). */
const MARKERS: ((x: number, y: number) => Html)[] = [
  (x, y) => html`<circle cx="${x}" cy="${y}" r="${SIZE}" />`,
  (x, y) => html`<rect x="${x - SIZE}" y="${y - SIZE}" width="${2 * SIZE}" height="${2 * SIZE}" />`,
  (x, y) => html`<path d="M${x} ${y - 7}L${x + 6.5} ${y + 5}H${x - 6.5}Z" />`,
  (x, y) => html`<path d="M${x} ${y - 7}L${x + 7} ${y}L${x} ${y + 7}L${x - 7} ${y}Z" />`,
  (x, y) =>
    html`<path
      class="stroke"
      d="M${x - SIZE} ${y - SIZE}L${x + SIZE} ${y + SIZE}M${x + SIZE} ${y - SIZE}L${x - SIZE} ${y + SIZE}"
    />`,
  (x, y) => html`<path d="M${x} ${y + 7}L${x + 6.5} ${y - 5}H${x - 6.5}Z" />`,
];
const markerOf = (index: number) => MARKERS[index % MARKERS.length]!;

/** About five round numbers that span the range. */
function ticks(low: number, high: number): number[] {
  const rough = (high - low || Math.abs(high) || 1) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough)! * power;
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, i) => (first + i) * step);
}

/** A figure as HTML: SVG with axes, error bars and a legend, no script. Style it with CHART_STYLE. */
export function renderChart({ title, xLabel, yLabel, series, formatX, formatY }: Chart): Html {
  const all = series.flatMap(({ points }) => points);
  if (all.length === 0) return html``;
  const range = (values: number[]): [number, number] => {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const room = (high - low || Math.abs(high) || 1) * 0.06;
    return [low - room, high + room];
  };
  const [x0, x1] = range(all.map(({ x }) => x));
  const [y0, y1] = range(all.map(({ y }) => y));
  const px = (x: number) => round(MARGIN.left + ((x - x0) / (x1 - x0)) * (WIDTH - MARGIN.left - MARGIN.right));
  const py = (y: number) =>
    round(HEIGHT - MARGIN.bottom - ((y - y0) / (y1 - y0)) * (HEIGHT - MARGIN.top - MARGIN.bottom));
  const grid = [
    ...ticks(x0, x1).map(
      (x) =>
        html`<path class="grid" d="M${px(x)} ${MARGIN.top}V${HEIGHT - MARGIN.bottom}" /><text
            x="${px(x)}"
            y="${HEIGHT - MARGIN.bottom + 16}"
            text-anchor="middle"
            >${formatX(x)}</text
          >`,
    ),
    ...ticks(y0, y1).map(
      (y) =>
        html`<path class="grid" d="M${MARGIN.left} ${py(y)}H${WIDTH - MARGIN.right}" /><text
            x="${MARGIN.left - 8}"
            y="${py(y) + 4}"
            text-anchor="end"
            >${formatY(y)}</text
          >`,
    ),
  ];
  const drawn = series.map(({ points, line, markers }, index) => {
    const path = line
      ? html`<path class="line" d="${points.map(({ x, y }, i) => `${i ? "L" : "M"}${px(x)} ${py(y)}`).join("")}" />`
      : "";
    const bars = points.map(({ x, y, halfX = 0, halfY = 0 }) =>
      halfX > 0 || halfY > 0
        ? html`<path
            class="bar"
            d="M${px(x - halfX)} ${py(y)}H${px(x + halfX)}M${px(x)} ${py(y - halfY)}V${py(y + halfY)}"
          />`
        : "",
    );
    const shapes = markers ? points.map(({ x, y }) => markerOf(index)(px(x), py(y))) : [];
    const labels = points.map(({ x, y, label }) =>
      label ? html`<text x="${px(x) + 9}" y="${py(y) - 7}">${label}</text>` : "",
    );
    return html`<g class="s${index % 6}">${path}${bars}${shapes}${labels}</g>`;
  });
  const legend = series.map(
    ({ name, markers }, index) =>
      html`<li>
        <svg class="key s${index % 6}" viewBox="0 0 24 16" aria-hidden="true">
          ${markers ? markerOf(index)(12, 8) : html`<path class="line" d="M1 8H23" />`}</svg
        >${name}
      </li>`,
  );
  return html`<figure class="chart">
    <figcaption>${title}</figcaption>
    <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${`${title}: ${yLabel} against ${xLabel}`}">
      ${grid}
      <text class="label" x="${WIDTH / 2}" y="${HEIGHT - 8}" text-anchor="middle">${xLabel}</text>
      <text class="label" transform="translate(14 ${HEIGHT / 2}) rotate(-90)" text-anchor="middle">${yLabel}</text>
      ${drawn}
    </svg>
    <ul class="legend">
      ${legend}
    </ul>
  </figure>`;
}

const round = (value: number): number => Math.round(10 * value) / 10;

export const CHART_STYLE = `
.chart { margin: 0; max-width: 760px; } .chart figcaption { font-weight: 600; } .chart > svg { width: 100%; height: auto; }
.chart text { fill: var(--faint); font-size: 12px; } .chart .label { font-size: 13px; }
.chart .grid { stroke: var(--rule); stroke-width: 1; fill: none; } .chart .line { fill: none; stroke-width: 2; } .chart .bar { fill: none; stroke-width: 1; opacity: 0.6; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 18px; list-style: none; margin: 0; padding: 0; color: var(--faint); font-size: 14px; } .key { width: 24px; height: 16px; vertical-align: -3px; margin-right: 4px; }
.stroke { fill: none; stroke-width: 2.5; }
.s0 { fill: light-dark(#0b62d6, #6cb0ff); stroke: light-dark(#0b62d6, #6cb0ff); } .s1 { fill: light-dark(#9a5b00, #f0b357); stroke: light-dark(#9a5b00, #f0b357); }
.s2 { fill: light-dark(#12743a, #5fd38a); stroke: light-dark(#12743a, #5fd38a); } .s3 { fill: light-dark(#a3245f, #ff8fc0); stroke: light-dark(#a3245f, #ff8fc0); }
.s4 { fill: light-dark(#5b3fb8, #b7a1ff); stroke: light-dark(#5b3fb8, #b7a1ff); } .s5 { fill: light-dark(#555d66, #b6bec7); stroke: light-dark(#555d66, #b6bec7); }
.chart g text { stroke: none; }
`;
