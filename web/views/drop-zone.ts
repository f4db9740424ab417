import { h } from "../dom.ts";

/** What was dropped or chosen; `folder` is its name where it was one. */
export interface Dropped {
  folder: string | null;
  files: File[];
}

/** A place to drop files on, with a button for those who do not drag. */
export function dropZone(
  { id, words, choose, folder }: { id: string; words: string; choose: string; folder: boolean },
  onDrop: (dropped: Dropped) => Promise<void>,
): HTMLElement {
  const input = h("input", {
    type: "file",
    id,
    ...(folder ? { webkitdirectory: true, multiple: true } : { accept: ".jsonl,.json" }),
    onchange: () => {
      const files = [...(input.files ?? [])];
      input.value = ""; // the same file may be chosen again after it was changed
      void onDrop({ folder: files[0]?.webkitRelativePath.split("/")[0] || null, files });
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
        void droppedFiles(event.dataTransfer!).then(onDrop);
      },
    },
    words,
    input,
    h("label", { for: id, class: "button" }, choose),
  );
  return zone;
}

/** The files that were dropped, and those of folders that were, one level deep. */
async function droppedFiles(data: DataTransfer): Promise<Dropped> {
  const entries = [...data.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  const found = await Promise.all(
    entries.map((entry) =>
      entry.isDirectory ? filesOf(entry as FileSystemDirectoryEntry) : [entry as FileSystemFileEntry],
    ),
  );
  const files = await Promise.all(
    found.flat().map((entry) => new Promise<File>((resolve, reject) => entry.file(resolve, reject))),
  );
  return { folder: entries.find((entry) => entry.isDirectory)?.name ?? null, files };
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
