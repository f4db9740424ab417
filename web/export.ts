import { svg } from "./dom.ts";

/** Pixels above a drawing for its title. */
const TITLE = 28;
const MARGIN = 8;
/** Pixels of a PNG for each of the drawing's, enough for print and dense screens. */
const SCALE = 2;

/** A drawing as an SVG file of its own: its title above it, colours as the page shows them now, and no place to point at. */
export function svgOf(drawing: SVGSVGElement, title: string): string {
  const { width, height } = sizeOf(drawing);
  const copy = drawing.cloneNode(true) as SVGSVGElement;
  for (const reading of copy.querySelectorAll(".reading")) reading.remove();
  copy.removeAttribute("class");
  copy.setAttribute("width", String(width));
  copy.setAttribute("height", String(height));
  copy.setAttribute("viewBox", `${-MARGIN} ${-TITLE - MARGIN} ${width} ${height}`);
  copy.setAttribute("fill", "var(--ink)");
  copy.prepend(
    svg("title", {}, title),
    svg("rect", { x: -MARGIN, y: -TITLE - MARGIN, width, height, fill: "var(--page)" }),
    svg("text", { x: 2, y: 8 - TITLE, "text-anchor": "start", "font-size": 14, "font-weight": 600 }, title),
  );
  return new XMLSerializer()
    .serializeToString(copy)
    .replaceAll(/var\((--[\w-]+)\)/g, (_, name: string) => colourOf(drawing, name));
}

/** The same as pixels. */
export async function pngOf(drawing: SVGSVGElement, title: string): Promise<Blob> {
  const { width, height } = sizeOf(drawing);
  const image = new Image();
  image.src = `data:image/svg+xml,${encodeURIComponent(svgOf(drawing, title))}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = SCALE * width;
  canvas.height = SCALE * height;
  canvas.getContext("2d")!.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) =>
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("This browser makes no PNG of this chart.")))),
  );
}

function sizeOf({ viewBox: { baseVal } }: SVGSVGElement): { width: number; height: number } {
  return { width: baseVal.width + 2 * MARGIN, height: baseVal.height + TITLE + 2 * MARGIN };
}

/** A variable's colour in light or dark, as the page is now. */
function colourOf(drawing: SVGSVGElement, name: string): string {
  const probe = svg("g");
  probe.style.color = `var(${name})`;
  drawing.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}
