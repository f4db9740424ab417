import { DOMImplementation, XMLSerializer } from "@xmldom/xmldom";
import { html, Html } from "../core/html.ts";
import type { Chart } from "./chart.ts";
import { draw, type Drawing } from "./draw.ts";
import { addReadings, readingsOf } from "./readings.ts";
import { tableOf } from "./table.ts";

/** Near a phone's width, so that text is large enough there; wider pages scale it up. */
const SIZE = { width: 400, height: 260 };

// A document that only makes elements: no page, no script, no fetch.
const document = new DOMImplementation().createDocument("http://www.w3.org/1999/xhtml", "html") as unknown as Document;
const serializer = new XMLSerializer();

/** A chart in a page without scripts: hover values by CHART_STYLE alone, and its table. Nothing without points. */
export function renderChart(chart: Chart): Html {
  if (chart.series.every(({ points }) => points.length === 0)) return html``;
  const drawing = draw(document, chart, SIZE);
  addReadings(document, drawing, readingsOf(chart));
  return html`<figure class="chart">
    <figcaption>
      ${chart.title}${chart.headline === undefined ? "" : html` <strong>${chart.headline}</strong>`}
    </figcaption>
    ${markupOf(drawing)}
    <details>
      <summary>As a table</summary>
      <div class="scroll" tabindex="0" role="group" aria-label="${`${chart.title} as a table`}">${tableOf(chart)}</div>
    </details>
  </figure>`;
}

/** As HTML has it, which knows SVG by its name alone. */
function markupOf(drawing: Drawing): Html {
  const xml = serializer.serializeToString(drawing as unknown as Parameters<XMLSerializer["serializeToString"]>[0]);
  return new Html(xml.replace(' xmlns="http://www.w3.org/2000/svg"', ""));
}
