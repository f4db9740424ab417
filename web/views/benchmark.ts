import { proxy, wrap, type Remote } from "comlink";
import { h } from "../dom.ts";
import type { Client } from "../engine.ts";
import { difference, SIZES, type Product } from "../matrices.ts";
import type { Peer } from "../peer.ts";
import { text } from "../text.ts";

const t = text.benchmark;

const WHO = ["pith", "webgl2", "cpu"] as const;

/** Pith's matrix product and gpu.js's on the same numbers, and the kernels' self-test. Everything it needs is loaded when asked for. */
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
        ...[t.columns.size, ...WHO.map((who) => `${t.columns[who]} (${t.unit})`)].map((title) =>
          h("th", { scope: "col" }, title),
        ),
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
    const worker = new Worker(new URL("../peer.ts", import.meta.url), { type: "module" });
    const peer = wrap<Peer>(worker) as Remote<Peer>;
    let worst = 0;
    try {
      for (const size of SIZES) {
        const products: (Product | null)[] = [];
        for (const who of WHO) {
          status.textContent = t.running(`${t.columns[who]}, ${t.size(size)}`);
          if (who === "pith") products.push(state.adapter ? await engine.product(size) : null);
          else products.push(await peer.product(who, size));
        }
        const present = products.filter((product) => product !== null);
        for (const { result } of present) worst = Math.max(worst, difference(result, present.at(-1)!.result));
        rows.append(resultRow(size, products));
      }
      status.textContent = `${t.adapter(state.adapter || text.noAdapter)}. ${t.agree(worst.toExponential(1))}`;
    } catch (error) {
      status.textContent = "";
      client.notice("failed", (error as Error).message);
    } finally {
      worker.terminate();
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
        proxy(({ kernel, error, limit, pass }) => {
          count[pass ? "passed" : "failed"]++;
          checked.textContent = t.selfTestDone(count.passed, count.failed);
          const cells = [error.toExponential(1), limit.toExponential(1), pass ? t.pass : t.fail];
          checks.append(h("tr", {}, h("th", { scope: "row" }, kernel), ...cells.map((cell) => h("td", {}, cell))));
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

function resultRow(size: number, products: readonly (Product | null)[]): HTMLElement {
  const speeds = products.map((product) => product && (2 * size ** 3) / product.seconds / 1e9);
  const fastest = Math.max(...speeds.map((speed) => speed ?? 0));
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, t.size(size)),
    ...speeds.map((speed, i) => {
      if (speed === null) return h("td", { class: "faint" }, t.missing);
      const bar = h("div", { class: "bar" });
      bar.style.setProperty("--share", `${(100 * speed) / fastest}%`);
      return h(
        "td",
        { class: WHO[i] === "pith" ? "ours" : "" },
        h("b", {}, speed < 10 ? speed.toFixed(2) : speed.toFixed(0)),
        h("div", { class: "track", "aria-hidden": "true" }, bar),
      );
    }),
  );
}
