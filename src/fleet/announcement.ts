import type { KvEntry } from "@nats-io/kv";
import { z } from "zod";
import { digest, FORMAT } from "./messages.ts";

/** A run's name, in subjects, keys and paths alike. */
export const RUN_NAME = /^[\w-]{1,64}$/;

const fileSchema = z.object({
  name: z.string().regex(/^[\w-]+(\.[\w-]+)+$/),
  bytes: z.int().min(0),
  sha256: digest,
  /** What makes it of the file of the version before, by that one's hash: delta.ts. */
  delta: z.object({ base: digest, bytes: z.int().min(0), sha256: digest }).optional(),
});

export type WeightFile = z.infer<typeof fileSchema>;

const files = z.array(fileSchema).min(1).max(64);
/** A model that no update changes. */
const frozen = z.object({ weights: digest, files });

const policyFields = {
  format: z.literal(FORMAT),
  /** Of the files together, and of the base where there is one. */
  weights: digest,
  files,
  /** The frozen model under adapters, which the other files then hold. */
  base: frozen.optional(),
  dtype: z.enum(["float32", "bfloat16"]),
  /** What workers sample with; the first is what tokens depend on. */
  maxModelLen: z.int().min(1),
  engine: z.object({
    blockSize: z.int().min(1),
    maxNumSeqs: z.int().min(1),
    kvCacheBytes: z.int().min(1).optional(),
  }),
};

/** A version of the policy, and how it is sampled. */
export const policySchema = z.object(policyFields);

export type Policy = z.infer<typeof policySchema>;

const announcementSchema = z.object({
  ...policyFields,
  /** Whose log-probabilities tasks may ask for beside the policy's. The base is one too. */
  reference: frozen.optional(),
  /** Of the trainer's adapter under these weights: kind.ts. */
  kind: digest,
});

/** What a run's trainer says in the bucket `runs` before it queues tasks: a version of the policy, and how it is sampled. */
export type Announcement = z.infer<typeof announcementSchema>;

const statusSchema = z.object({
  run: z.string().nullable(),
  host: z.string(),
  adapter: z.string(),
  /** What it does or waits for. */
  state: z.string(),
  kind: digest.nullable(),
  weights: digest.nullable(),
  tasks: z.int().min(0),
  /** Since it joined, and a second over its last minute. */
  tokens: z.int().min(0),
  tokensPerSecond: z.number().min(0),
  /** Seconds since it joined, and of them with a task in work. */
  up: z.number().min(0),
  busy: z.number().min(0),
});

/** What a worker says of itself in the bucket `workers`. */
export type WorkerStatus = z.infer<typeof statusSchema>;

/** Null for what is no such JSON: what others wrote is none of this process's failures. */
export const readAnnouncement = (entry: KvEntry | null): Announcement | null => read(entry, announcementSchema);
export const readStatus = (entry: KvEntry | null): WorkerStatus | null => read(entry, statusSchema);

function read<T>(entry: KvEntry | null, schema: z.ZodType<T>): T | null {
  if (entry?.operation !== "PUT") return null;
  try {
    return schema.parse(entry.json());
  } catch {
    return null;
  }
}
