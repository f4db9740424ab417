import { proxy, wrap, type Remote } from "comlink";
import { h } from "../dom.ts";
import type { Client } from "../client.ts";
import { difference, OPERATIONS, SIZES, type Measured, type Operation } from "../matrices.ts";
import type { Peer } from "../peer.ts";
import { text } from "../text.ts";

const t = text.benchmark;

const WHO = ["pith", "webgl2", "cpu"] as const;

/** Pith's kernels and gpu.js's on the same numbers, and the kernels' self-test. Everything it needs is loaded when asked for. */
export function benchmarkView(client: Client): HTMLElement {
  const { engine, state } = client;
  const status = h("p", { class: "faint", role: "status" });
  const rows = h("tbody");
  const table = h(
    "table",
    { class: "bench", hidden: true },
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        ...[t.columns.operation, ...WHO.map((who) => t.columns[who])].map((title) => h("th", { scope: "col" }, title)),
      ),
    ),
    rows,
  );
  const run = h("button", { type: "button", class: "primary", onclick: () => void measure() }, t.run);
  const check = h("button", { type: "button", onclick: () => void selfTest() }, t.selfTest);

  async function measure(): Promise<void> {
    if (!["idle", "paused"].includes(state.training.phase)) {
      status.textContent = t.pauseFirst;
      return;
    }
    run.disabled = check.disabled = true;
    table.hidden = false;
    rows.replaceChildren();
    const frame = h("iframe", { src: "./peer.html", hidden: true, title: t.peer });
    document.body.append(frame);
    await new Promise((resolve) => frame.addEventListener("load", resolve, { once: true }));
    const { port1, port2 } = new MessageChannel();
    frame.contentWindow!.postMessage(null, location.origin, [port2]);
    const peer = wrap<Peer>(port1) as Remote<Peer>;
    let worst = 0;
    try {
      status.textContent = t.running(t.tiles);
      if (state.adapter) await engine.tune();
      for (const operation of OPERATIONS) {
        for (const size of SIZES) {
          const measured: (Measured | null)[] = [];
          for (const who of WHO) {
            status.textContent = t.running(`${t.columns[who]}, ${t[operation](size)}`);
            if (who === "pith") measured.push(state.adapter ? await engine.measure(operation, size) : null);
            else measured.push(await peer.measure(who, operation, size));
          }
          const present = measured.filter((one) => one !== null);
          for (const { result } of present) worst = Math.max(worst, difference(result, present.at(-1)!.result));
          rows.append(resultRow(operation, size, measured));
        }
      }
      status.textContent = `${t.adapter(state.adapter || text.noAdapter)}. ${t.agree(worst.toExponential(1))}`;
    } catch (error) {
      status.textContent = "";
      client.notice("failed", (error as Error).message);
    } finally {
      frame.remove(); // and its worker
      run.disabled = check.disabled = false;
    }
  }

  const checks = h("tbody");
  const checked = h("p", { role: "status", id: "self-test" });
  const checkTable = h(
    "details",
    { hidden: true },
    h("summary", {}, t.selfTestLead),
    h(
      "div",
      { class: "scroll", tabindex: 0, role: "group", "aria-label": t.selfTest },
      h(
        "table",
        {},
        h(
          "thead",
          {},
          h("tr", {}, ...Object.values(t.selfTestColumns).map((title) => h("th", { scope: "col" }, title))),
        ),
        checks,
      ),
    ),
  );
  async function selfTest(): Promise<void> {
    run.disabled = check.disabled = true;
    checkTable.hidden = false;
    checks.replaceChildren();
    const count = { passed: 0, failed: 0 };
    await client.attempt(() =>
      engine.selfTest(
        proxy(({ name, error, limit, pass }) => {
          count[pass ? "passed" : "failed"]++;
          checked.textContent = t.selfTestDone(count.passed, count.failed);
          const cells = [error.toExponential(1), limit.toExponential(1), pass ? t.pass : t.fail];
          checks.append(h("tr", {}, h("th", { scope: "row" }, name), ...cells.map((cell) => h("td", {}, cell))));
        }),
      ),
    );
    run.disabled = check.disabled = false;
  }

  return h(
    "div",
    { class: "card stack" },
    h("div", { class: "buttons" }, run, check),
    status,
    h("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": text.benchmark.title }, table),
    checked,
    checkTable,
  );
}

/** What speeds are counted in: billions of operations of a product, millions of numbers of a softmax. */
const WORK: Record<Operation, (size: number) => number> = {
  product: (size) => (2 * size ** 3) / 1e9,
  softmax: (size) => size ** 2 / 1e6,
};

function resultRow(operation: Operation, size: number, measured: readonly (Measured | null)[]): HTMLElement {
  const speeds = measured.map((one) => one && WORK[operation](size) / one.seconds);
  const fastest = Math.max(...speeds.map((speed) => speed ?? 0));
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, t[operation](size)),
    ...speeds.map((speed, i) => {
      if (speed === null) return h("td", { class: "faint" }, t.missing);
      const bar = h("div", { class: "bar" });
      bar.style.setProperty("--share", `${(100 * speed) / fastest}%`);
      return h(
        "td",
        { class: WHO[i] === "pith" ? "ours" : "" },
        h("b", {}, speed.toPrecision(3)),
        h("div", { class: "track", "aria-hidden": "true" }, bar),
      );
    }),
  );
}
