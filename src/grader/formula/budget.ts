/** Steps that a calculation may take in all: a bound on time that does not depend on the machine. */
export class Budget {
  #left: number;

  constructor(steps: number) {
    this.#left = steps;
  }

  /** Throws BudgetError once the steps are used up. */
  spend(steps = 1): void {
    this.#left -= steps;
    if (this.#left < 0) throw new BudgetError();
  }
}

export class BudgetError extends Error {}
