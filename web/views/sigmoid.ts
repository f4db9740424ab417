import { svg } from "../dom.ts";
import type { JudgedResponse } from "../judge.ts";
import { text } from "../text.ts";

const t = text.rule;

const HEIGHT = 168;
const MARGIN = { left: 34, right: 14, top: 24, bottom: 26 };
/** Pixels of an arrow for an advantage of 1. */
const ARROW = 64;

/**
 * The reward of a right response over its length, 1 - alpha sigmoid((L - mean) / std), with a group's responses on it: right ones on
 * the curve, wrong ones at 0, and at each an arrow as its advantage pushes.
 */
export function drawRule(
  judged: readonly JudgedResponse[],
  statistics: { mean: number; std: number } | null,
  { alpha, width, open }: { alpha: number; width: number; open: number | null },
): SVGElement {
  const lengths = judged.map(({ length }) => length);
  const { mean, std } = statistics ?? { mean: 0, std: 0 };
  const reach = 2.5 * Math.max(std, 2);
  const low = Math.max(0, Math.min(...lengths, ...(statistics ? [mean - reach] : [])) - 4);
  const high = Math.max(low + 10, ...lengths, ...(statistics ? [mean + reach] : [])) + 4;
  const x = (tokens: number) => MARGIN.left + ((tokens - low) / (high - low)) * (width - MARGIN.left - MARGIN.right);
  const y = (reward: number) => HEIGHT - MARGIN.bottom - reward * (HEIGHT - MARGIN.top - MARGIN.bottom);
  const bottom = HEIGHT - MARGIN.bottom;
  const curve = Array.from({ length: 61 }, (_, i) => {
    const tokens = low + ((high - low) * i) / 60;
    const reward = 1 - alpha / (1 + Math.exp(-(tokens - mean) / (std + 1e-7)));
    return `${x(tokens).toFixed(1)} ${y(reward).toFixed(1)}`;
  });
  return svg(
    "svg",
    { viewBox: `0 0 ${width} ${HEIGHT}`, height: HEIGHT, role: "img", "aria-label": t.plot(judged.length) },
    ...[0, 0.5, 1].map((reward) =>
      svg(
        "g",
        { class: "tick" },
        svg("line", { x1: MARGIN.left, x2: width - MARGIN.right, y1: y(reward), y2: y(reward) }),
        svg("text", { x: MARGIN.left - 6, y: y(reward) + 4, "text-anchor": "end" }, reward),
      ),
    ),
    svg("text", { class: "term reward", x: MARGIN.left - 26, y: 12 }, t.reward),
    svg("text", { class: "term length", x: width - MARGIN.right, y: HEIGHT - 6, "text-anchor": "end" }, t.length),
    ...(statistics && judged.length > 0
      ? [
          svg("rect", {
            class: "std",
            x: x(Math.max(low, mean - std)),
            y: MARGIN.top,
            width: x(mean + std) - x(Math.max(low, mean - std)),
            height: bottom - MARGIN.top,
          }),
          svg("line", { class: "mean", x1: x(mean), x2: x(mean), y1: MARGIN.top, y2: bottom }),
          // Right answers earn at least 0.5 and wrong ones 0: between them there is room.
          ...[t.mean(mean), t.std(std)].map((words, i) =>
            svg("text", { class: "term stat", x: x(mean), y: y(0.3) + 15 * i, "text-anchor": "middle" }, words),
          ),
          svg("path", { class: "curve", d: `M${curve.join("L")}` }),
        ]
      : [svg("text", { class: "term stat", x: width / 2, y: MARGIN.top + 12, "text-anchor": "middle" }, t.noneRight)]),
    ...judged.map((one, i) => mark(one, x(one.length), y(one.reward), i === open)),
  );
}

function mark(
  { correct, advantage, length, reward }: JudgedResponse,
  cx: number,
  cy: number,
  open: boolean,
): SVGElement {
  const tip = cy - Math.sign(advantage) * Math.max(0, Math.min(ARROW, Math.abs(advantage) * ARROW));
  const head = advantage > 0 ? 5 : -5;
  const arrow = Math.abs(tip - cy) > 3 && [
    svg("line", { x1: cx, x2: cx, y1: cy, y2: tip }),
    svg("path", { d: `M${cx - 3.5} ${tip + head}L${cx} ${tip}L${cx + 3.5} ${tip + head}` }),
  ];
  const shape = correct
    ? svg("circle", { cx, cy, r: 5 })
    : svg("path", { class: "cross", d: `M${cx - 4} ${cy - 4}l8 8m0 -8l-8 8` });
  return svg(
    "g",
    { class: `dot ${correct ? "correct" : "wrong"} ${advantage > 0 ? "up" : "down"}${open ? " open" : ""}` },
    svg("title", {}, t.dot(length, reward)),
    ...(arrow || []),
    shape,
  );
}
