import type { JsMsg } from "@nats-io/jetstream";
import type { Fleet } from "./connection.ts";

/** Pieces of 128 KiB that are on their way at once. */
const AHEAD = 64;

/**
 * The bytes of an object of the fleet's store, no faster than they are taken: the client's own get() asks for all at once, and holds in
 * memory what a disk has not taken yet. null where there is none.
 */
export async function readObject(
  { js, weights }: Pick<Fleet, "js" | "weights">,
  name: string,
): Promise<AsyncGenerator<Uint8Array> | null> {
  const info = await weights.info(name);
  return !info || info.deleted ? null : piecesOf(js, info.bucket, info.nuid);
}

async function* piecesOf(js: Fleet["js"], bucket: string, nuid: string): AsyncGenerator<Uint8Array> {
  const consumer = await js.consumers.get(`OBJ_${bucket}`, { filter_subjects: `$O.${bucket}.C.${nuid}` });
  try {
    if ((await consumer.info()).num_pending === 0) return;
    const messages = await consumer.consume({ max_messages: AHEAD });
    for await (const { data, info } of messages as AsyncIterable<JsMsg>) {
      yield data;
      if (info.pending === 0) break;
    }
    await messages.close();
  } finally {
    await consumer.delete().catch(() => {}); // the server forgets it in a while by itself
  }
}
