import { proxy } from "comlink";
import { h } from "../dom.ts";
import type { Client } from "../client.ts";
import type { OwnModelInfo } from "../session/protocol.ts";
import { format, text } from "../text.ts";
import { dropZone } from "./drop-zone.ts";

const t = text.own;

type OnProgress = (file: string, done: number, total: number) => void;
/** A model's folder or hub id to generate with or to train. */
export function ownView(client: Client): HTMLElement {
  const { engine } = client;
  const report = h("p", { role: "status" });
  const bar = h("progress", { max: 1, value: 0, hidden: true, "aria-label": t.checking });
  const prompt = h("textarea", { id: "own-prompt", rows: 3 });
  const output = h("pre", { class: "output", role: "group", tabindex: 0, "aria-label": t.output });
  const rate = h("p", { class: "faint", role: "status" });
  const generate = h("button", { type: "submit", class: "primary" }, t.generate);
  const stop = h("button", { type: "button", hidden: true, onclick: () => void engine.stopGenerating() }, t.stop);
  const form = h(
    "form",
    {
      class: "stack",
      hidden: true,
      onsubmit: (event: SubmitEvent) => {
        event.preventDefault();
        void complete();
      },
    },
    h("div", { class: "field" }, h("label", { for: "own-prompt" }, t.prompt), prompt),
    h("div", { class: "buttons" }, generate, stop),
    output,
    rate,
  );

  const training = h("p", { class: "faint" });
  const train = h("button", { type: "button", class: "primary", onclick: () => void begin() }, t.train);
  const plan = h("div", { class: "stack", hidden: true }, training, h("div", {}, train));
  const nextRun = h("p", { role: "status" });
  const bundled = h(
    "button",
    {
      type: "button",
      class: "quiet small",
      onclick: () => void client.attempt(() => engine.trainBundled()).then(() => client.refresh()),
    },
    t.bundled,
  );
  const next = h("div", { class: "stack", hidden: true }, nextRun, h("div", {}, bundled));

  /** Reports on what takes a while; null where it failed, after what it threw was said. */
  async function reported<T>(what: string, work: (onProgress: OnProgress) => Promise<T>): Promise<T | null> {
    report.className = "faint";
    report.textContent = `${t.checking} ${what}…`;
    bar.hidden = false;
    let over = false; // progress comes by a channel of its own, and the last may come after the end
    try {
      return await work(
        proxy((file, done, total) => {
          if (over) return;
          bar.value = total > 0 ? done / total : 0;
          report.textContent = t.loading(file, format.bytes(done), format.bytes(total));
        }),
      );
    } catch (error) {
      report.className = "error";
      report.textContent = `${t.bad} ${(error as Error).message}`;
      return null;
    } finally {
      over = true;
      bar.hidden = true;
      bar.value = 0;
    }
  }

  let loaded: OwnModelInfo | null = null;
  async function load(what: string, work: (onProgress: OnProgress) => Promise<OwnModelInfo>): Promise<void> {
    loaded = (await reported(what, work)) ?? loaded;
    show();
  }

  function show(): void {
    const { name, own } = client.state.model;
    next.hidden = !own;
    nextRun.textContent = own ? t.nextRun(name) : "";
    if (!loaded) return;
    const { training: planned, ...model } = loaded;
    if (report.className !== "error")
      report.textContent = t.ready(
        model.name,
        model.modelType,
        format.count(model.parameters),
        format.bytes(model.bytes),
      );
    form.hidden = plan.hidden = false;
    train.hidden = !("rank" in planned);
    training.textContent =
      "rank" in planned ? t.trains(planned.rank, format.bytes(planned.bytes)) : t.doesNotTrain(planned.refusal);
  }

  async function begin(): Promise<void> {
    await reported(loaded!.name, (onProgress) => engine.trainOwn(onProgress));
    await client.refresh();
  }
  client.subscribe((change) => {
    if (change === "task") show();
  });

  async function complete(): Promise<void> {
    output.textContent = "";
    rate.textContent = prompt.value.trim() === "" ? t.noPrompt : "";
    if (prompt.value.trim() === "") return prompt.focus();
    generate.disabled = true;
    stop.hidden = false;
    let whole = false; // pieces come by a channel of their own, and the last may come after it
    try {
      const answer = await engine.generate(
        prompt.value,
        proxy((pieces: string[]) => void (whole || output.append(pieces.join("")))),
      );
      whole = true;
      output.textContent = answer.text;
      rate.textContent = t.tokens(answer.tokens, answer.tokens / answer.seconds);
    } catch (error) {
      if ((error as Error).name !== "AbortError") client.notice("failed", (error as Error).message);
    } finally {
      generate.disabled = false;
      stop.hidden = true;
    }
  }

  const hub = h("input", {
    id: "hub",
    type: "text",
    autocomplete: "off",
    spellcheck: "false",
    "aria-describedby": "hub-hint",
  });
  return h(
    "div",
    { class: "card stack" },
    h("h3", {}, t.model),
    dropZone({ id: "folder", words: t.drop, choose: t.choose, folder: true }, ({ folder, files }) => {
      const name = folder ?? t.folder;
      return load(name, (onProgress) => engine.loadFolder(name, files, onProgress));
    }),
    h(
      "form",
      {
        class: "field",
        onsubmit: (event: SubmitEvent) => {
          event.preventDefault();
          const id = hub.value.trim();
          if (id) void load(id, (onProgress) => engine.loadFromHub(id, onProgress));
        },
      },
      h("label", { for: "hub" }, t.hub),
      h("div", { class: "inline" }, hub, h("button", { type: "submit" }, t.load)),
      h("p", { id: "hub-hint", class: "faint" }, t.hubHint),
    ),
    report,
    bar,
    plan,
    next,
    form,
  );
}
