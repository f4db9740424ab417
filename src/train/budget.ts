/** What is written into a checkpoint, so that a resumed run does as much at once as the one that it goes on from. */
export interface BudgetState {
  size: number;
  /** Passes that must go well before more is tried. */
  patience: number;
  /** Of them those still to come. */
  left: number;
}

const FIRST_PATIENCE = 16;

/**
 * How much goes to the device at once: what was asked for, until memory runs out; then less. After 16 passes that went well it is
 * twice as much again, for what took the memory may be gone; each time that memory runs out, the next try is twice as far away.
 */
export class Budget {
  #state: BudgetState | null;

  /** `state`: an earlier budget's, null for one that nothing has happened to. */
  constructor(state: BudgetState | null = null) {
    this.#state = state && { ...state };
  }

  get state(): BudgetState | null {
    return this.#state && { ...this.#state };
  }

  /** What goes at once of the `full` amount. */
  size(full: number): number {
    return Math.min(full, this.#state?.size ?? full);
  }

  /** Memory ran out: from now on so much. */
  shrink(size: number): void {
    const patience = this.#state ? 2 * this.#state.patience : FIRST_PATIENCE;
    this.#state = { size, patience, left: patience };
  }

  /** A pass went well. */
  pass(full: number): void {
    if (!this.#state || this.#state.size >= full) return;
    const { size, patience, left } = this.#state;
    this.#state =
      left > 1 ? { size, patience, left: left - 1 } : { size: Math.min(full, 2 * size), patience, left: patience };
  }
}

/** A training run's budgets. */
export class Budgets {
  /** Tokens of a micro-batch; a pass is an optimizer step. */
  readonly microBatch: Budget;
  /** Sequences sampled at once; a pass is a call of the sampler. */
  readonly rollouts: Budget;

  constructor({ micro_batch = null, rollouts = null }: Partial<Budgets["state"]> = {}) {
    this.microBatch = new Budget(micro_batch);
    this.rollouts = new Budget(rollouts);
  }

  get state(): { micro_batch: BudgetState | null; rollouts: BudgetState | null } {
    return { micro_batch: this.microBatch.state, rollouts: this.rollouts.state };
  }
}
