import { h } from "../dom.ts";

export type ChipKind = "work" | "check" | "said";

/**
 * What each token of a response is for: getting to its answer, going over it again, or saying it. What comes after the place where
 * the boxed answer first stands is taken for going over it again.
 */
export function chipKinds(pieces: readonly string[]): ChipKind[] {
  const text = pieces.join("");
  const box = text.lastIndexOf("\\boxed{");
  const answer = /^\\boxed\{([^{}]*)\}/.exec(text.slice(Math.max(0, box)))?.[1]?.trim();
  const pattern = answer && new RegExp(`(?:[=:]|\\b(?:get|now)) *${answer.replaceAll(/[^\w ]/g, "\\$&")}(?!\\w)`);
  const found = pattern ? pattern.exec(text.slice(0, box)) : null;
  const reached = found ? found.index + found[0].length : Infinity;
  let at = 0;
  return pieces.map((piece) => {
    const start = at;
    at += piece.length;
    if (box >= 0 && start >= box) return "said";
    return start >= reached ? "check" : "work";
  });
}

/** A text token by token, each a chip, a response's by default; for screen readers its text. */
export function tokenChips(
  label: string,
  kindsOf: (pieces: readonly string[]) => ChipKind[] = chipKinds,
): { element: HTMLElement; show: (pieces: readonly string[]) => void } {
  const spoken = h("span", { class: "visually-hidden" });
  const chips = h("span", { class: "chips", "aria-hidden": "true" });
  let shown = "";
  return {
    element: h("p", { class: "tokens-line", "aria-label": label, role: "group", tabindex: 0 }, spoken, chips),
    show(pieces) {
      const text = pieces.join("");
      if (text === shown && chips.childElementCount === pieces.length) return;
      shown = text;
      spoken.textContent = text;
      const kinds = kindsOf(pieces);
      chips.replaceChildren(
        ...pieces.map((piece, i) => {
          const chip = h("span", { class: `chip ${kinds[i]}` }, written(piece));
          chip.style.setProperty("--i", String(i));
          return chip;
        }),
      );
    },
  };
}

/** What can be seen of a token: the one that ends a response says nothing. */
const written = (piece: string): string => (piece === "" ? "■" : piece.replaceAll("\n", "↵").replaceAll(" ", " "));
