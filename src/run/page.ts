import { CHART_STYLE } from "../charts/style.ts";
import { html, Html } from "../core/html.ts";

/** The demo page's colours and type (web/css/base.css), so that a report looks like it. */
const PAGE_STYLE = `
:root {
  color-scheme: light dark;
  --page: light-dark(#fbf9f4, #14120f);
  --card: light-dark(#ffffff, #1d1a16);
  --sunk: light-dark(#f4f0e6, #26221c);
  --ink: light-dark(#1f1b14, #ece6da);
  --faint: light-dark(#6b6353, #a89e8c);
  --rule: light-dark(#e5dfd0, #38322a);
  --accent: light-dark(#b34a06, #f5a35b);
  --correct: light-dark(#0f6e66, #5cc7bb);
  --wrong: light-dark(#b0271d, #ff8d7e);
  --serif: ui-serif, "Iowan Old Style", "Palatino Linotype", Palatino, Georgia, "DejaVu Serif", serif;
  --mono: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
*, *::before, *::after { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; -webkit-text-size-adjust: 100%; }
main { max-width: 1120px; margin: 0 auto; padding: clamp(24px, 5vw, 56px) 20px; display: grid; grid-template-columns: minmax(0, 1fr); gap: 28px; }
h1, h2 { font-family: var(--serif); font-weight: 600; line-height: 1.15; margin: 0; text-wrap: balance; }
h1 { font-size: clamp(28px, 4vw, 40px); letter-spacing: -0.01em; } h2 { font-size: clamp(24px, 3vw, 30px); }
p { margin: 0; max-width: 72ch; text-wrap: pretty; } .kicker { color: var(--accent); font-weight: 600; margin-bottom: 8px; } .lead { margin-top: 12px; font-size: 18px; }
.facts { display: flex; flex-wrap: wrap; gap: 6px 28px; margin: 18px 0 0; font-size: 14px; } .facts dt { color: var(--faint); font-size: 13px; } .facts dd { margin: 0; overflow-wrap: anywhere; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 460px), 1fr)); gap: 16px; }
.figures > :only-child { max-width: 680px; }
.card, .chart { background: var(--card); border: 1px solid var(--rule); border-radius: 14px; padding: 18px 20px; --page: var(--card); }
@media (max-width: 480px) { main { padding-inline: 12px; } .card, .chart { padding: 14px 12px; } }
.chart figcaption { font-size: 14px; font-weight: 600; display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 12px; margin-bottom: 8px; } .chart strong { font: 600 18px/1.2 var(--serif); }
details summary { cursor: pointer; font-size: 14px; color: var(--faint); padding: 4px 0; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 6px; }
.scroll { overflow: auto; } details .scroll { max-height: 320px; }
table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums; }
caption { text-align: left; font: 600 20px/1.2 var(--serif); padding-bottom: 10px; } details caption { font: 600 14px/1.4 system-ui, sans-serif; }
th, td { text-align: left; vertical-align: top; padding: 8px 12px 8px 0; border-top: 1px solid var(--rule); } th { font-weight: 600; }
thead th { color: var(--faint); font-weight: 500; font-size: 13px; border-top: 0; }
small { color: var(--faint); font-weight: 400; }
`;

/** A page in one file, with nothing outside itself: no script, no font, no request, and none is let in. */
export function renderPage({
  title,
  sentence,
  lead,
  facts,
  body,
  style = "",
}: {
  title: string;
  /** What matters of it, and its heading; the title where there is nothing to say. */
  sentence?: string | null;
  lead?: Html;
  /** Lines under the heading. */
  facts: Readonly<Record<string, string | number>>;
  body: Html;
  style?: string;
}): string {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title}</title>
        <style>
          ${new Html(PAGE_STYLE + CHART_STYLE + style)}
        </style>
      </head>
      <body>
        <main>
          <header>
            ${
              sentence
                ? html`<p class="kicker">${title}</p>
                    <h1>${sentence}</h1>`
                : html`<h1>${title}</h1>`
            }
            ${lead ? html`<p class="lead">${lead}</p>` : ""}
            <dl class="facts">
              ${Object.entries(facts).map(
                ([name, value]) =>
                  html`<div>
                    <dt>${name}</dt>
                    <dd>${value}</dd>
                  </div>`,
              )}
            </dl>
          </header>
          ${body}
        </main>
      </body>
    </html> `.markup;
}

/** A cell of a table. */
type Cell = Html | string | number;

/** A table with its name, its columns' names, and rows whose first cell names them; it scrolls where it is too wide. */
export const tableCard = (name: string, columns: readonly string[], rows: readonly (readonly Cell[])[]): Html =>
  html`<div class="card scroll" tabindex="0" role="group" aria-label="${name}">
    <table>
      <caption>
        ${name}
      </caption>
      <thead>
        <tr>
          ${columns.map((column) => html`<th>${column}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          ([first, ...cells]) =>
            html`<tr>
              <th scope="row">${first!}</th>
              ${cells.map((cell) => html`<td>${cell}</td>`)}
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
