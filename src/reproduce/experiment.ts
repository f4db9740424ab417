import type { RunKind } from "../run/run-folder.ts";

/** What an experiment changes of configs/start.toml, by section. */
export type Overrides = Record<string, Record<string, unknown>>;

/** Which experiment of its method one is. */
export interface Named {
  /** As tables and charts have it. */
  method: string;
  /** The one number that tells the method's experiments apart, by its name; null where there is one alone. */
  knob: string | null;
  strength: number | null;
}

/** A training run, to be done once for each seed. */
export interface Experiment extends Named {
  /** Name of its folder. Experiments of one name are one run, whatever they are compared as. */
  name: string;
  /** The command that trains it. */
  trainer: RunKind;
  overrides: Overrides;
  /** The experiment that samples the same responses to learn from: where they are there, they are not sampled again. */
  samples?: string;
  /** Its checkpoints are evaluated, too. */
  evaluatesCheckpoints?: boolean;
}

/** What tells it from the others of its method: "α 0.2"; null where there is one alone. */
export const strengthLabel = ({ knob, strength }: Pick<Named, "knob" | "strength">): string | null =>
  strength === null ? null : `${knob === "alpha" ? "α" : knob} ${strength}`;
