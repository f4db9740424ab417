import { lastKept, type Solution, type SolutionCut } from "../core/solutions.ts";
import { StreamDecoder, type Tokenizer } from "../hf/tokenizer.ts";
import type { Task } from "../tasks/task.ts";
import { judge, type Rollout, type Stops } from "./rollouts.ts";

/**
 * The tokens of a correct response that is cut after some of its solutions: a prefix of it and its own last part, so never longer than
 * it; all of it where nothing lies between. Null where it has no such solutions, where they cannot be parted at tokens, and where
 * the task does not judge what is left to be correct.
 */
export function cutResponse(
  cut: SolutionCut,
  rollout: Pick<Rollout, "problem" | "text" | "tokenIds">,
  { tokenizer, task, ...stops }: { tokenizer: Tokenizer; task: Task } & Stops,
): number[] | null {
  const { problem, text, tokenIds } = rollout;
  const last = lastKept(cut, task.solutions?.(problem, text) ?? []);
  const kept = last && joinTokens(tokenizer, tokenIds, text, last);
  if (!kept) return null;
  return judge(tokenizer, task, problem, { tokenIds: kept, finishReason: "stop" }, stops).correct ? kept : null;
}

/**
 * The tokens that say a text up to `end`, and those from `ending` on. What is more or less than that is white space, which a token may
 * hold with what is beside it; and where white space stands before `ending` in the response, it does so here.
 */
function joinTokens(
  tokenizer: Tokenizer,
  tokenIds: number[],
  text: string,
  { end, ending }: Solution,
): number[] | null {
  const { said, before } = readAlong(tokenizer, tokenIds);
  if (!said.startsWith(text)) return null;
  const isBlank = (from: number, to: number) => said.slice(from, to).trim() === "";
  let head = before.findIndex((at) => at >= end);
  let tail = before.indexOf(before.findLast((at) => at <= ending)!);
  if (!isBlank(end, before[head]!) || !isBlank(before[tail]!, ending)) return null;
  if (ending < text.length && /\s/.test(text[ending - 1] ?? "")) {
    const isSpace = (token: number) => isBlank(before[token]!, before[token + 1]!);
    const areApart = () => /\s$/.test(said.slice(0, before[head])) || /^\s/.test(said.slice(before[tail]));
    if (!areApart()) while (tail > head && isSpace(tail - 1)) tail--;
    if (!areApart()) while (head < tail && isSpace(head)) head++;
    if (head < tail && !areApart()) return null;
  }
  return head < tail ? [...tokenIds.slice(0, head), ...tokenIds.slice(tail)] : tokenIds;
}

/** What tokens say, special ones left out, and how many characters are said before each and behind the last. */
function readAlong(tokenizer: Tokenizer, tokenIds: readonly number[]): { said: string; before: number[] } {
  const decoder = new StreamDecoder(tokenizer);
  const pieces = tokenIds.map((id, i) => decoder.push([id], i === tokenIds.length - 1));
  const before = [0];
  for (const piece of pieces) before.push(before.at(-1)! + piece.length);
  return { said: pieces.join(""), before };
}
