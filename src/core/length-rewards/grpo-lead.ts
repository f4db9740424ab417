import { isCorrect, scoreOf, type Group } from "../group.ts";
import { lengthStatistics } from "./sigmoid.ts";

/** `free_length`: a group is left alone while the mean of its three shortest responses is at most this many tokens. */
export const GRPO_LEAD = { a: 0.05, wrong: -1, free_length: 4000 };

/** Added to the standard deviation. */
const EPSILON = 1e-6;

/**
 * GRPO-LEAD: R = exp(-a z) for a correct response, z its length against the group's correct ones by the sample standard
 * deviation (z = 0 for a lone one); `wrong` for a wrong response, less its share where the task grades. It exceeds 1 for a
 * response shorter than the mean.
 *
 * Source: "GRPO-LEAD: A Difficulty-Aware Reinforcement Learning Approach for Concise Mathematical Reasoning in Language Models".
 * Its -2 for repetition and 0 for a missing answer are left out.
 */
export function grpoLeadRewards(group: Group, { a, wrong, free_length }: typeof GRPO_LEAD): number[] {
  const statistics = lengthStatistics(group);
  const count = group.filter(isCorrect).length;
  const std = statistics && count > 1 ? statistics.std * Math.sqrt(count / (count - 1)) : 1;
  const shortest = group
    .map(({ length }) => length)
    .toSorted((x, y) => x - y)
    .slice(0, 3);
  const free = shortest.reduce((sum, length) => sum + length, 0) / shortest.length <= free_length;
  return group.map((outcome) => {
    if (!statistics || !isCorrect(outcome)) return wrong * (1 - scoreOf(outcome));
    if (free) return scoreOf(outcome);
    return scoreOf(outcome) * Math.exp((-a * (outcome.length - statistics.mean)) / (std + EPSILON));
  });
}

/**
 * GRPO-LEAD's weight of an advantage: 0.4 + 1.1 / (1 + exp(10 (rho - 0.75))), with rho the share of correct responses in the group
 * for a positive advantage and its complement for a negative one. Hard problems count more when they are solved, easy ones
 * when they are not.
 */
export const grpoLeadWeight = (rho: number): number => 0.4 + 1.1 / (1 + Math.exp(10 * (rho - 0.75)));
