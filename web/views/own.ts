import { proxy } from "comlink";
import { h } from "../dom.ts";
import type { Client } from "../client.ts";
import type { OwnModelInfo } from "../session/protocol.ts";
import { format, text } from "../text.ts";

const t = text.own;
const BUILT_IN = "arithmetic";

/** A model's folder or hub id to generate with, and a file of problems to train on. */
export function ownView(client: Client): HTMLElement {
  const { engine } = client;
  const report = h("p", { role: "status" });
  const bar = h("progress", { max: 1, value: 0, hidden: true, "aria-label": t.checking });
  const prompt = h("textarea", { id: "own-prompt", rows: 3 });
  const output = h("pre", { class: "output", tabindex: 0, "aria-label": t.output });
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

  async function load(
    what: string,
    work: (onProgress: (file: string, done: number, total: number) => void) => Promise<OwnModelInfo>,
  ) {
    report.className = "faint";
    report.textContent = `${t.checking} ${what}…`;
    bar.hidden = false;
    let over = false; // progress comes by a channel of its own, and the last may come after the end
    try {
      const info = await work(
        proxy((file, done, total) => {
          if (over) return;
          bar.value = total > 0 ? done / total : 0;
          report.textContent = t.loading(file, format.bytes(done), format.bytes(total));
        }),
      );
      over = true;
      report.textContent = t.ready(info.name, info.modelType, format.count(info.parameters), format.bytes(info.bytes));
      form.hidden = false;
    } catch (error) {
      over = true;
      report.className = "error";
      report.textContent = `${t.bad} ${(error as Error).message}`;
    } finally {
      bar.hidden = true;
      bar.value = 0;
    }
  }

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
  const taskLine = h("p", { role: "status" });
  const builtIn = h(
    "button",
    {
      type: "button",
      class: "quiet small",
      hidden: true,
      onclick: () =>
        void client.attempt(async () => {
          await engine.chooseProblems(BUILT_IN);
          await client.refresh();
        }),
    },
    t.builtIn,
  );
  const showTask = () => {
    const { name, numTrain, numTest, dropped } = client.state.task;
    const rows = Object.entries(dropped).map(([reason, n]) => `${n} (${reason})`);
    taskLine.className = "faint";
    taskLine.textContent = [
      t.task(name, numTrain, numTest),
      ...(rows.length > 0 ? [t.dropped(rows.join(", "))] : []),
    ].join("; ");
    builtIn.hidden = name === BUILT_IN;
  };
  async function addProblems([file]: readonly File[]): Promise<void> {
    if (!file) return;
    try {
      await engine.addProblems(file);
      await client.refresh();
    } catch (error) {
      taskLine.className = "error";
      taskLine.textContent = `${t.bad} ${(error as Error).message}`;
    }
  }
  client.subscribe((change) => {
    if (change === "task") showTask();
  });
  showTask();

  return h(
    "div",
    { class: "own" },
    h(
      "div",
      { class: "card stack" },
      h("h3", {}, t.model),
      dropZone({ id: "folder", words: t.drop, choose: t.choose, folder: true }, (files) =>
        load(t.folder, (onProgress) => engine.loadFolder([...files], onProgress)),
      ),
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
      form,
    ),
    h(
      "div",
      { class: "card stack" },
      h("h3", {}, t.problems),
      h("p", { class: "faint" }, t.problemsLead),
      dropZone({ id: "problems", words: t.dropProblems, choose: t.chooseProblems, folder: false }, addProblems),
      taskLine,
      h("div", {}, builtIn),
    ),
  );
}

/** A place to drop files on, with a button for those who do not drag. */
function dropZone(
  { id, words, choose, folder }: { id: string; words: string; choose: string; folder: boolean },
  onFiles: (files: readonly File[]) => Promise<void>,
): HTMLElement {
  const input = h("input", {
    type: "file",
    id,
    ...(folder ? { webkitdirectory: true, multiple: true } : { accept: ".jsonl,.json" }),
    onchange: () => {
      const files = [...(input.files ?? [])];
      input.value = ""; // the same file may be chosen again after it was changed
      void onFiles(files);
    },
  });
  const zone = h(
    "div",
    {
      class: "drop",
      ondragover: (event: DragEvent) => {
        event.preventDefault();
        zone.classList.add("over");
      },
      ondragleave: () => zone.classList.remove("over"),
      ondrop: (event: DragEvent) => {
        event.preventDefault();
        zone.classList.remove("over");
        void droppedFiles(event.dataTransfer!).then(onFiles);
      },
    },
    words,
    input,
    h("label", { for: id, class: "button" }, choose),
  );
  return zone;
}

/** The files that were dropped, and those of folders that were, one level deep. */
async function droppedFiles(data: DataTransfer): Promise<File[]> {
  const entries = [...data.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  const files = await Promise.all(
    entries.map((entry) =>
      entry.isDirectory ? filesOf(entry as FileSystemDirectoryEntry) : [entry as FileSystemFileEntry],
    ),
  );
  return Promise.all(files.flat().map((entry) => new Promise<File>((resolve, reject) => entry.file(resolve, reject))));
}

async function filesOf(folder: FileSystemDirectoryEntry): Promise<FileSystemFileEntry[]> {
  const reader = folder.createReader();
  const all: FileSystemEntry[] = [];
  for (;;) {
    // It hands them out a hundred at a time.
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return all.filter((entry) => entry.isFile) as FileSystemFileEntry[];
    all.push(...some);
  }
}
