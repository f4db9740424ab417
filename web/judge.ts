import { rlooAdvantages } from "../src/core/advantage.ts";
import { isCorrect, type Outcome } from "../src/core/group.ts";
import { lengthRewards, lengthStatistics } from "../src/core/length-rewards/sigmoid.ts";
import type { RecordedResponse } from "./recordings.ts";

/** Below this an advantage moves nothing worth a word. */
export const FELT = 0.005;

export interface JudgedResponse extends RecordedResponse {
  reward: number;
  advantage: number;
}

/** The paper's rule on a group, with today's alpha. */
export function judge(responses: readonly RecordedResponse[], alpha: number) {
  const group = responses.map(({ length, correct, finish_reason }): Outcome => ({
    length,
    correct,
    finishReason: finish_reason,
  }));
  const rewards = lengthRewards(group, alpha);
  const advantages = rlooAdvantages(rewards);
  return {
    statistics: lengthStatistics(group),
    judged: responses.map((response, i): JudgedResponse => ({
      ...response,
      correct: isCorrect(group[i]!),
      reward: rewards[i]!,
      advantage: advantages[i]!,
    })),
  };
}
