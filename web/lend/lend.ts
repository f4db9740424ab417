import { proxy, wrap } from "comlink";
// oxlint-disable-next-line import/default -- Vite makes it: the address of the worker's script
import workerUrl from "./lend-worker.ts?worker&url";
import type { Lent } from "../../src/fleet/guest/guest.ts";
import { readInvitation, type Invitation } from "../../src/fleet/guest/invitation.ts";
import { h } from "../dom.ts";
import type { Lender } from "./lend-worker.ts";
import { words } from "./words.ts";

/** The part of the link that no server is told. */
const invitation = location.hash.slice(1);

const state = h("p", { class: "state", role: "status", id: "state" });
const adapter = h("p", { class: "faint", id: "adapter" });
const button = h("button", { type: "button", class: "primary" }, words.lend);
const figures = {
  tokens: h("dd", { id: "tokens" }, "0"),
  tasks: h("dd", { id: "tasks" }, "0"),
  accepted: h("dd", { id: "accepted" }, "0"),
  refused: h("dd", { id: "refused" }, "0"),
};

document.body.prepend(
  h(
    "main",
    {},
    h("h1", {}, words.title),
    h("p", {}, words.lead),
    h("p", { id: "sees" }, words.sees),
    h("p", {}, words.closing),
    h("div", {}, button),
    state,
    adapter,
    h(
      "dl",
      { class: "figures" },
      ...Object.entries(figures).map(([name, value]) =>
        h("div", {}, h("dt", {}, words.figures[name as keyof typeof figures]), value),
      ),
    ),
  ),
);

const read = readOrNull();
if (!read || read.ends < Date.now()) {
  button.disabled = true;
  state.textContent = read ? words.over : words.uninvited;
} else {
  state.textContent = words.ends(new Date(read.ends).toLocaleTimeString());
  const lender = openLender();
  let isLending = false;
  // Mostly this is heard; otherwise the gate gives the tasks away once it has not heard of the tab for a while.
  addEventListener("pagehide", () => void lender.stop());
  button.addEventListener("click", () => {
    if (isLending) return void lender.stop();
    isLending = true;
    button.textContent = words.stop;
    state.textContent = words.opening;
    lend(lender)
      .catch((error: unknown) => whyNot((error as Error).message ?? ""))
      .then((why) => (state.textContent = why))
      .finally(() => {
        isLending = false;
        button.textContent = words.lend;
        figures.tasks.textContent = "0";
      });
  });
}

/** Why it has ended. */
async function lend(lender: ReturnType<typeof openLender>): Promise<string> {
  let last = "";
  const host = {
    opened(name: string) {
      adapter.textContent = words.on(name);
      state.textContent = words.joining;
    },
    changed({ state: said, ...counts }: Lent) {
      last = said;
      state.textContent = said;
      for (const [name, value] of Object.entries(counts))
        figures[name as keyof typeof figures].textContent = words.number(value);
    },
  };
  const ended = await lender.lend(location.origin, invitation, proxy(host));
  if (ended === "") return words.stopped;
  if (/invitation has ended/.test(last)) return last;
  return whyNot(ended);
}

function whyNot(message: string): string {
  if (Date.now() >= read!.ends) return words.over;
  return /authori[sz]ation|authentication|revoked/i.test(message) ? words.refused : words.failed(message);
}

function readOrNull(): Invitation | null {
  try {
    return readInvitation(invitation);
  } catch {
    return null;
  }
}

function openLender() {
  // A worker that begins as a blob is under the page's policy; one from a file host would be under none.
  const script = `import ${JSON.stringify(new URL(workerUrl, location.href).href)};`;
  const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  return wrap<Lender>(new Worker(url, { type: "module" }));
}
