/**
 * A reward of one's own: the fewer remarks the more, and nothing to say of a response without a box. Beside the task's
 * verdict: `pith train --config configs/start.toml --config reward.toml` with
 *
 *     [rl]
 *     rewards = [{ name = "correct" }, { name = "./examples/reward.ts", weight = 0.1 }]
 */
import type { RewardFunction } from "../src/train/rewards.ts";

const remarks: RewardFunction = ({ completions }) =>
  completions.map((text) => {
    if (!text.includes("\\boxed{")) return null;
    const count = text.match(/I g[eo]t/g)?.length ?? 0;
    return Math.max(0, 4 - count) / 4;
  });
export default remarks;
