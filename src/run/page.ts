import { CHART_STYLE } from "../charts/style.ts";
import { html, Html } from "../core/html.ts";

/** What the project's pages share: type, tables, light and dark. */
const PAGE_STYLE = `
:root { color-scheme: light dark; --ink: light-dark(#1b1f24, #e6e6e6); --faint: light-dark(#6a737d, #9aa4ae); --line: light-dark(#0b62d6, #6cb0ff); --rule: light-dark(#d8dee4, #3a424a); --page: light-dark(#fff, #15181c); }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 1160px; margin: 0 auto; padding: 24px 16px; }
.facts { display: flex; flex-wrap: wrap; gap: 4px 28px; } .facts dt { color: var(--faint); font-size: 13px; } .facts dd { margin: 0; }
table { border-collapse: collapse; width: 100%; margin: 24px 0; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: 8px 0; } th, td { text-align: left; vertical-align: top; padding: 6px 10px; border-top: 1px solid var(--rule); }
thead th { color: var(--faint); font-weight: 500; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr)); gap: 32px; }
`;

/** A page in one file, with nothing outside itself: no script, no font, no request, and none is let in. */
export function renderPage({
  title,
  facts,
  body,
  style = "",
}: {
  title: string;
  /** Lines under the title. */
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
          <h1>${title}</h1>
          <dl class="facts">
            ${Object.entries(facts).map(
              ([name, value]) =>
                html`<div>
                  <dt>${name}</dt>
                  <dd>${value}</dd>
                </div>`,
            )}
          </dl>
          ${body}
        </main>
      </body>
    </html> `.markup;
}
