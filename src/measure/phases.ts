/** The phases of an iteration whose time is planned. */
export const PHASES = ["prefill", "decode", "reference", "update", "optimizer"] as const;
export type Phase = (typeof PHASES)[number];
