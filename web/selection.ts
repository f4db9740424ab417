/** What a visitor chose to see. It is the page's address, so that a copied link shows the same. */
export interface Choice {
  alpha: number;
  /** Of the recorded problems. */
  problem: number;
  /** null for the last one. */
  iteration: number | null;
}

export const LARGEST_ALPHA = 0.5;
export const ALPHA_STEP = 0.05;

const FIRST: Choice = { alpha: 0.2, problem: 0, iteration: null };
/** Milliseconds without a change before the address is written: browsers bound how often. */
const QUIET_MS = 250;

export class Selection {
  #choice: Choice;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #listeners: (() => void)[] = [];

  constructor(search: string) {
    this.#choice = readChoice(search);
  }

  get choice(): Choice {
    return this.#choice;
  }

  set(change: Partial<Choice>): void {
    const next = { ...this.#choice, ...change };
    if (Object.entries(next).every(([key, value]) => this.#choice[key as keyof Choice] === value)) return;
    this.#choice = next;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => history.replaceState(null, "", this.link), QUIET_MS);
    for (const listener of this.#listeners) listener();
  }

  subscribe(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** The address of the page as it is. */
  get link(): string {
    const { alpha, problem, iteration } = this.#choice;
    const url = new URL(location.href);
    url.search = new URLSearchParams({
      alpha: String(alpha),
      problem: String(problem + 1),
      ...(iteration === null ? {} : { iteration: String(iteration) }),
    }).toString();
    return url.href;
  }
}

/** What an address asks for, as far as it can be had. */
function readChoice(search: string): Choice {
  const asked = new URLSearchParams(search);
  const read = (name: string, low: number, high: number): number | null => {
    const value = Number(asked.get(name) ?? NaN);
    return value >= low && value <= high ? value : null;
  };
  const alpha = read("alpha", 0, LARGEST_ALPHA);
  const problem = read("problem", 1, 1000);
  const iteration = read("iteration", 0, 1000);
  return {
    alpha: alpha === null ? FIRST.alpha : Number((Math.round(alpha / ALPHA_STEP) * ALPHA_STEP).toFixed(2)),
    problem: problem === null ? FIRST.problem : Math.round(problem) - 1,
    iteration: iteration === null ? FIRST.iteration : Math.round(iteration),
  };
}
