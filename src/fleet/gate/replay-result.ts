import type { Model } from "../../model/model.ts";
import { MicroBatches } from "../../train/micro-batches.ts";
import { redraw, type Claim } from "../../train/replay.ts";
import type { Probe } from "../kind.ts";
import { completionsOf, paramsOf, type Result, type Task } from "../messages.ts";

/** Tokens that go through the model together. */
const TOKENS = 4096;

/** How a guest's tokens and log-probabilities stood against the gate's. */
export interface Agreement {
  tokens: number;
  /** Tokens that the gate's adapter draws otherwise. */
  drawnOtherwise: number;
  /** Log-probabilities of other bits, and the sum of their differences. */
  logprobsOtherwise: number;
  difference: number;
}

export const noAgreement = (): Agreement => ({ tokens: 0, drawnOtherwise: 0, logprobsOtherwise: 0, difference: 0 });

export const sumOf = (a: Agreement, b: Agreement): Agreement => ({
  tokens: a.tokens + b.tokens,
  drawnOtherwise: a.drawnOtherwise + b.drawnOtherwise,
  logprobsOtherwise: a.logprobsOtherwise + b.logprobsOtherwise,
  difference: a.difference + b.difference,
});

/** A result drawn again: how it agrees, and the same tokens with the log-probabilities of this adapter. */
export interface Replayed {
  agreement: Agreement;
  drawn: Result;
}

/** Draws a result's tokens again on the gate's own device. The result answers the task: checkResult. */
export async function replayResult(model: Model, task: Task, result: Result, kind: string): Promise<Replayed> {
  const claims: Claim[] = completionsOf(result).map((completion) => ({
    ...completion,
    promptId: task.promptId,
    promptTokenIds: task.promptTokenIds,
  }));
  const draws = await redraw(model, new MicroBatches(TOKENS), claims, paramsOf(task));
  let agreement = noAgreement();
  draws.forEach(({ tokenIds, logprobs }, s) => {
    const claim = claims[s]!;
    agreement = sumOf(agreement, compare(claim.tokenIds, claim.logprobs, tokenIds, logprobs));
  });
  const outputs = result.outputs.map((output, s) => ({ ...output, logprobs: [...draws[s]!.logprobs] }));
  return { agreement, drawn: { ...result, kind, outputs } };
}

function compare(
  tokenIds: readonly number[],
  logprobs: readonly number[],
  drawn: ArrayLike<number>,
  drawnLogprobs: ArrayLike<number>,
): Agreement {
  const agreement = { ...noAgreement(), tokens: tokenIds.length };
  tokenIds.forEach((token, i) => {
    if (token !== drawn[i]) agreement.drawnOtherwise++;
    if (Object.is(logprobs[i], drawnLogprobs[i])) return;
    agreement.logprobsOtherwise++;
    agreement.difference += Math.abs(logprobs[i]! - drawnLogprobs[i]!);
  });
  return agreement;
}

/** How a guest's probe agrees with the gate's: what may be expected of it. */
export function compareProbes(own: Probe, other: Probe): Agreement {
  const [tokens, logprobs] = [other.tokenIds, other.logprobs];
  const agreement = { ...noAgreement(), tokens: logprobs.length };
  agreement.drawnOtherwise = tokens.reduce((sum, token, i) => sum + (token === own.tokenIds[i] ? 0 : 1), 0);
  logprobs.forEach((logprob, i) => {
    if (Object.is(logprob, own.logprobs[i])) return;
    agreement.logprobsOtherwise++;
    agreement.difference += Math.abs(logprob - own.logprobs[i]!);
  });
  return agreement;
}
