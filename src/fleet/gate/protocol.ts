import { z } from "zod";
import { policySchema } from "../announcement.ts";
import { FORMAT, taskSchema } from "../messages.ts";

/**
 * What a guest asks the gate, by the last part of the subject gate.GUEST.VERB, and what the gate answers. Results and probes are
 * bytes, everything else is JSON.
 */
export const VERBS = [
  /** Which weights to load, and how they are sampled. */
  "policy",
  /** What the guest's adapter makes of the probe under them: kind.ts. */
  "probe",
  /** For a task. */
  "task",
  /** What a task came to: messages.ts. */
  "result",
  /** The guest is still at work; no answer. */
  "beat",
  /** The guest goes; no answer. */
  "leave",
] as const;

export type Verb = (typeof VERBS)[number];

const replySchema = z.union([
  z.strictObject({ policy: policySchema, run: z.string() }),
  /** Nothing to do now, and why. */
  z.strictObject({ wait: z.string() }),
  /** To a probe: tasks may be asked for. */
  z.strictObject({ joined: z.literal(true) }),
  z.strictObject({ task: taskSchema }),
  /** The policy has changed, or was never asked for. */
  z.strictObject({ stale: z.literal(true) }),
  z.strictObject({ accepted: z.literal(true) }),
  /** What was sent does not count; why. */
  z.strictObject({ refused: z.string() }),
]);

export type Reply = z.infer<typeof replySchema>;

export const encodeReply = (reply: Reply): string => JSON.stringify({ format: FORMAT, ...reply });

/** @throws SyntaxError, ZodError where it is none */
export function decodeReply(text: string): Reply {
  const { format: _, ...reply } = z.looseObject({ format: z.literal(FORMAT) }).parse(JSON.parse(text));
  return replySchema.parse(reply);
}
