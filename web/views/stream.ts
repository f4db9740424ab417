import type { Client } from "../client.ts";
import { h } from "../dom.ts";

/** Responses as they are sampled: a bar for each that grows with it, and what one of them says. Progress tells screen readers. */
export function streamView(client: Client): HTMLElement {
  const bars = h("span", { class: "growing" });
  const tail = h("code");
  const element = h("p", { class: "stream", "aria-hidden": "true", hidden: true }, bars, tail);
  let longest = 1;
  client.subscribe((change) => {
    if (change !== "sampled") return;
    const { sampled, training } = client.state;
    // Between two iterations it keeps its place, so that nothing below it moves.
    element.hidden = sampled.length === 0 && training.phase !== "running";
    element.classList.toggle("between", sampled.length === 0);
    if (sampled.length === 0) return;
    while (bars.childElementCount < sampled.length) bars.append(h("i"));
    longest = Math.max(longest, ...sampled.map(({ tokens }) => tokens));
    sampled.forEach(({ tokens, finished }, i) => {
      const bar = bars.children[i] as HTMLElement;
      bar.className = finished ? "done" : "";
      bar.style.setProperty("--share", `${(100 * tokens) / longest}%`);
    });
    tail.textContent = (sampled.find(({ finished }) => !finished) ?? sampled.at(-1)!).tail.replaceAll("\n", "↵");
  });
  return element;
}
