import type { CDPSession } from "playwright";

/** Bytes of what lives on a heap: what the browser compiled or derived of the code, and all else. */
export interface Heap {
  code: number;
  data: number;
}

/** What a snapshot holds: `nodes` is a table of `meta.node_fields`, row after row. */
interface Snapshot {
  snapshot: { meta: { node_fields: string[]; node_types: [string[], ...unknown[]] } };
  nodes: number[];
  strings: string[];
}

/** Types of nodes that are code or derived of it. */
const CODE_TYPES = ["code", "object shape"];
/** The engine's lists of compiled code that depends on an object's shape, among the nodes of another type. */
const CODE_LISTS = "system / WeakArrayList";

/** The heap of the page, after a collection. */
export async function pageHeap(session: CDPSession): Promise<Heap> {
  const chunks: string[] = [];
  const keep = ({ chunk }: { chunk: string }) => void chunks.push(chunk);
  session.on("HeapProfiler.addHeapSnapshotChunk", keep);
  await session.send("HeapProfiler.takeHeapSnapshot");
  session.off("HeapProfiler.addHeapSnapshotChunk", keep);
  return heapOf(chunks);
}

/** A way to the heap of the page's one worker. */
export async function watchWorker(session: CDPSession): Promise<() => Promise<Heap>> {
  const attached = new Promise<string>((resolve) =>
    session.on("Target.attachedToTarget", ({ sessionId, targetInfo }) => {
      if (targetInfo.type === "worker") resolve(sessionId);
    }),
  );
  await session.send("Target.setAutoAttach", { autoAttach: true, waitForDebuggerOnStart: false, flatten: false });
  const sessionId = await attached;
  let id = 0;
  return async () => {
    const chunks: string[] = [];
    const mine = ++id;
    await new Promise<void>((resolve, reject) => {
      const receive = ({ message }: { message: string }) => {
        const { id: answered, method, params, error } = JSON.parse(message);
        if (method === "HeapProfiler.addHeapSnapshotChunk") chunks.push(params.chunk);
        if (answered !== mine) return;
        session.off("Target.receivedMessageFromTarget", receive);
        if (error) reject(new Error(error.message));
        else resolve();
      };
      session.on("Target.receivedMessageFromTarget", receive);
      const message = JSON.stringify({ id: mine, method: "HeapProfiler.takeHeapSnapshot" });
      session.send("Target.sendMessageToTarget", { sessionId, message }).catch(reject);
    });
    return heapOf(chunks);
  };
}

function heapOf(chunks: readonly string[]): Heap {
  const { snapshot, nodes, strings } = JSON.parse(chunks.join("")) as Snapshot;
  const { node_fields: fields, node_types: types } = snapshot.meta;
  const [type, name, size] = [fields.indexOf("type"), fields.indexOf("name"), fields.indexOf("self_size")];
  const compiled = new Set(CODE_TYPES.map((of) => types[0].indexOf(of)));
  const lists = strings.indexOf(CODE_LISTS);
  const heap: Heap = { code: 0, data: 0 };
  for (let row = 0; row < nodes.length; row += fields.length) {
    const isCode = compiled.has(nodes[row + type]!) || nodes[row + name] === lists;
    heap[isCode ? "code" : "data"] += nodes[row + size]!;
  }
  return heap;
}
