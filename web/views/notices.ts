import { h } from "../dom.ts";
import type { PageNotice } from "../client.ts";
import { text } from "../text.ts";

/** Notices that take the place of others: what they say is over. */
const REPLACES: Partial<Record<PageNotice, PageNotice[]>> = { "device-back": ["device-lost", "no-webgpu"] };
/** What is over once training goes on, or ends. */
const OF_TRAINING: PageNotice[] = ["resumable", "out-of-memory", "device-back", "hidden"];
/** Its detail is for those who build this. */
const WITHOUT_DETAIL: PageNotice[] = ["no-webgpu"];
/** Good news, said calmly. */
const CALM: PageNotice[] = ["device-back", "hidden", "resumable"];

/** What happened and what to do, newest first; each can be put away. */
export function notices(): {
  element: HTMLElement;
  show: (kind: PageNotice, detail?: string) => void;
  /** Puts away what a change of training makes stale. */
  trainingChanged: () => void;
} {
  const element = h("div", { class: "notices", role: "log", "aria-live": "polite" });
  const shown = new Map<PageNotice, HTMLElement>();
  const hide = (kind: PageNotice) => {
    shown.get(kind)?.remove();
    shown.delete(kind);
  };
  return {
    element,
    trainingChanged: () => OF_TRAINING.forEach(hide),
    show(kind, detail = "") {
      hide(kind);
      for (const other of REPLACES[kind] ?? []) hide(other);
      const { title, what } = text.notices[kind];
      const calm = CALM.includes(kind);
      const notice = h(
        "div",
        { class: `notice ${calm ? "calm" : "alert"}`, "data-kind": kind },
        h("span", { class: "sign", "aria-hidden": "true" }, calm ? "i" : "!"),
        h(
          "div",
          {},
          h("strong", {}, title),
          " ",
          what,
          detail !== "" && !WITHOUT_DETAIL.includes(kind) && h("p", { class: "faint" }, detail),
        ),
        h("button", { type: "button", class: "round", "aria-label": text.dismiss, onclick: () => hide(kind) }, "×"),
      );
      shown.set(kind, notice);
      element.prepend(notice);
    },
  };
}
