import { html, type Html } from "../core/html.ts";
import { readable, readByX, within, type Chart, type Point } from "./chart.ts";

/** A chart's values as a table: a row for each x where curves are read, else for each point. */
export function tableOf(chart: Chart): Html {
  const { x, y } = chart;
  const series = readable(chart);
  if (!readByX(chart))
    return table(
      chart.title,
      ["series", "point", x.label, y.label || chart.title],
      series.flatMap(({ name, points }) =>
        points.map((point) => [
          name,
          point.label ?? "",
          within(x, point.x, point.halfX),
          within(y, point.y, point.halfY),
        ]),
      ),
    );
  const columns = series.map(({ points }) => new Map(points.map((point) => [point.x, point])));
  const places = [...new Set(columns.flatMap((points) => [...points.keys()]))].toSorted((a, b) => a - b);
  const cell = (point: Point | undefined) => (point ? within(y, point.y, point.halfY) : "");
  return table(
    chart.title,
    [x.label, ...series.map(({ name }) => name)],
    places.map((place) => [x.format(place), ...columns.map((points) => cell(points.get(place)))]),
  );
}

const table = (title: string, head: readonly string[], rows: readonly (readonly string[])[]): Html =>
  html`<table>
    <caption>
      ${title}
    </caption>
    <thead>
      <tr>
        ${head.map((name) => html`<th scope="col">${name}</th>`)}
      </tr>
    </thead>
    <tbody>
      ${rows.map(
        ([first, ...rest]) =>
          html`<tr>
            <th scope="row">${first}</th>
            ${rest.map((value) => html`<td>${value}</td>`)}
          </tr>`,
      )}
    </tbody>
  </table>`;
