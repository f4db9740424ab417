import type { JsMsg } from "@nats-io/jetstream";
import type { Fleet } from "./connection.ts";

/** Pieces of 128 KiB that are on their way at once. */
const AHEAD = 64;
/** Milliseconds after which one that waits asks whether there is more. */
const PATIENCE = 5000;

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

/** Ends early where the object is removed meanwhile: who reads knows what it has to come to. */
async function* piecesOf(js: Fleet["js"], bucket: string, nuid: string): AsyncGenerator<Uint8Array> {
  const consumer = await js.consumers.get(`OBJ_${bucket}`, { filter_subjects: `$O.${bucket}.C.${nuid}` });
  const isEmpty = async () => (await consumer.info()).num_pending === 0;
  if (await isEmpty()) return void (await consumer.delete());
  const messages = await consumer.consume({ max_messages: AHEAD });
  let waits = true;
  const watch = setInterval(async () => {
    if (waits && (await isEmpty().catch(() => false)) && waits) await messages.close(); // false: the server is away
  }, PATIENCE);
  try {
    for await (const { data, info } of messages as AsyncIterable<JsMsg>) {
      waits = false;
      yield data;
      if (info.pending === 0) return;
      waits = true;
    }
  } finally {
    clearInterval(watch);
    await messages.close();
    await consumer.delete().catch(() => {}); // the server forgets it in a while by itself
  }
}
