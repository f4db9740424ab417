import { compareProbes, noAgreement, sumOf, type Agreement } from "./replay-result.ts";
import type { Probe } from "../kind.ts";

/** Of a guest of another kind: tokens that may be drawn otherwise, of all. */
const OTHERWISE = 1 / 1000;
/** Times what its probe showed that its log-probabilities may differ, in number and in the mean. */
const FACTOR = 3;
/** Share of log-probabilities of other bits, and mean difference, that are nobody's lie. */
const LEAST_SHARE = 0.3;
const LEAST_MEAN = 1e-5;
/** A mean difference that an adapter which computes the same model does not have. */
const MOST_MEAN = 1e-3;
/** Log-probabilities before their share and mean say something. */
const ENOUGH = 512;

/**
 * What may be expected of a guest: on the gate's own kind of adapter every token and every bit; on another what its probe showed.
 * What counts in the end are the gate's own bits in either case.
 */
export class Trust {
  readonly #probe: Agreement;
  #seen = noAgreement();

  constructor(own: Probe, guest: Probe) {
    this.#probe = compareProbes(own, guest);
  }

  /** Whether all the bits of its probe are the gate's. */
  get isSameKind(): boolean {
    return this.#probe.logprobsOtherwise === 0 && this.#probe.drawnOtherwise === 0;
  }

  /** Why a guest of another kind cannot take part at all; "" where it can. */
  get obstacle(): string {
    const { tokens, difference } = this.#probe;
    const mean = difference / tokens;
    if (mean <= MOST_MEAN) return "";
    return `its log-probabilities differ by ${mean.toExponential(1)} in the mean, more than another adapter's do`;
  }

  /** Takes in a replay; what shows that the guest did not draw as it says, "" where nothing does. */
  add(agreement: Agreement): string {
    if (this.isSameKind) return disagreement(agreement);
    this.#seen = sumOf(this.#seen, agreement);
    const { tokens, drawnOtherwise, logprobsOtherwise, difference } = this.#seen;
    if (drawnOtherwise > OTHERWISE * tokens) return `${drawnOtherwise} of ${tokens} tokens are drawn otherwise`;
    if (tokens < ENOUGH) return "";
    const share = Math.max(LEAST_SHARE, (FACTOR * this.#probe.logprobsOtherwise) / this.#probe.tokens);
    const mean = Math.max(LEAST_MEAN, (FACTOR * this.#probe.difference) / this.#probe.tokens);
    if (logprobsOtherwise > share * tokens)
      return `${logprobsOtherwise} of ${tokens} log-probabilities have other bits, more than ${(100 * share).toFixed(0)}%`;
    if (difference > mean * tokens)
      return `log-probabilities differ by ${(difference / tokens).toExponential(1)} in the mean, more than ${mean.toExponential(1)}`;
    return "";
  }
}

function disagreement({ tokens, drawnOtherwise, logprobsOtherwise }: Agreement): string {
  if (drawnOtherwise > 0) return `${drawnOtherwise} of ${tokens} tokens are drawn otherwise`;
  if (logprobsOtherwise > 0) return `${logprobsOtherwise} of ${tokens} log-probabilities have other bits`;
  return "";
}
