/**
 * Chains of thought for sums like `7+8-5+9`, as a reasoner writes them that is quick first and careful after. The first pass is one
 * line, `7+8-5~0+9~9`: it takes two steps at once, keeps only last digits in mind and puts the tens together at the end, which a small
 * model gets wrong the more often the longer the sum is. A check goes line by line, last digit first, `15-5~0=10`, and is nearly always
 * right. So checking buys accuracy on hard problems and nothing on easy ones, where most of it is habit (appendix A of the paper shows
 * the same in a large model).
 */

export interface Step {
  operator: "+" | "-";
  /** 1 to 9. */
  operand: number;
}

export interface Chain {
  /** 0 to 99. */
  start: number;
  steps: Step[];
}

/** Uniform in [0, 1). */
export type Random = () => number;

/** How the first pass of a demonstration goes. */
export interface QuickPass {
  /** Steps at once: the digit that it has in mind is shown after so many, and after the last. */
  stride: number;
  /** Chance for each digit that it shows of being off by one or two, so that checks are learnt that compute for themselves. */
  slips: number;
}

/** Every value on the way stays in this range, in a right chain and in a mistaken one. */
const LARGEST_VALUE = 99;

/** How the demonstrations behave. */
const HABITS = {
  /** Chance for each carry that the quick pass forgets it: its result is off by ten, so that there is something to find. */
  forgets: 0.04,
  /**
   * Chance of answering without a check, after a check that does not agree, and after one that does: for a chain of one step and for
   * one of five, and in proportion between them. What is easy is checked again and again.
   */
  stops: { unchecked: 0.3, differing: 0.1, agreeing: [0.1, 0.4] },
  /** Chance of "The answer is" before the box. */
  announces: 0.6,
  /** No further pass once this many steps or passes are written. */
  patience: { steps: 16, passes: 6 },
} as const;

const LONGEST = 5;

/** What follows "I get N.", "I got M, now N again." and "I got M, now N." where another pass comes. */
const DOUBTS = {
  unchecked: [" Wait, let me check.", " Hmm, let me check.", " Let me do it again."],
  agreeing: [
    " But is that right?",
    " Wait, is that right?",
    " Let me check once more.",
    " Hmm, let me do it once more.",
  ],
  differing: [" Hmm, let me do it again.", " Let me do it once more.", " Wait, let me check."],
} as const;

/** Every word of the demonstrations that the tokenizer holds as one token. */
export const WORDS = [
  ..." Wait, Hmm, Let, let, me, check, do, it, again, once, more, But, is, that, right, answer, get, got, now"
    .split(",")
    .map((word) => ` ${word.trim()}`),
  "The",
  "\\boxed{",
];

/** The chain in `7+8-5=?` (spaces, `=` and `?` are optional), or null where the text is not one. */
export function parseChain(text: string): Chain | null {
  const compact = text.replaceAll(" ", "");
  if (!/^\d{1,2}([+-][1-9])+=?\??$/.test(compact)) return null;
  const steps = Array.from(compact.matchAll(/([+-])(\d)/g), ([, operator, operand]): Step => {
    return { operator: operator as Step["operator"], operand: Number(operand) };
  });
  return { start: parseInt(compact, 10), steps };
}

export function formatChain({ start, steps }: Chain): string {
  return start + steps.map(({ operator, operand }) => operator + operand).join("");
}

/** Every value on the way, the start left out. */
export function chainValues({ start, steps }: Chain): number[] {
  let value = start;
  return steps.map((step) => (value = apply(value, step)));
}

interface Pass {
  text: string;
  result: number;
}

/** A response with its end-of-turn marker left out: passes, doubts and `\boxed{}`. */
export function writeDemonstration(chain: Chain, quick: QuickPass, random: Random): string {
  const results: number[] = [];
  let text = "";
  const close = (result: number) => `${random() < HABITS.announces ? "The answer is " : ""}\\boxed{${result}}`;
  while (true) {
    const pass = results.length === 0 ? writeQuickPass(chain, quick, random) : writeCarefulPass(chain);
    text += pass.text;
    const { result } = pass;
    const before = results.at(-1);
    const situation = before === undefined ? "unchecked" : before === result ? "agreeing" : "differing";
    results.push(result);
    const { patience } = HABITS;
    const tired = results.length >= patience.passes || (results.length + 1) * chain.steps.length > patience.steps;
    const stops = random() < chanceToStop(situation, chain) || tired;
    const verdict = {
      unchecked: `I get ${result}.`,
      agreeing: `I got ${before}, now ${result} again.`,
      differing: `I got ${before}, now ${result}.`,
    }[situation];
    if (stops) {
      if (situation !== "unchecked") text += `${verdict}\n`;
      return text + close(result);
    }
    const doubts = DOUBTS[situation];
    text += `${verdict}${doubts[Math.floor(random() * doubts.length)]}\n`;
  }
}

function chanceToStop(situation: keyof typeof DOUBTS, { steps }: Chain): number {
  if (situation !== "agreeing") return HABITS.stops[situation];
  const [easiest, hardest] = HABITS.stops.agreeing;
  return easiest + ((hardest - easiest) * Math.min(steps.length - 1, LONGEST - 1)) / (LONGEST - 1);
}

/** `7+8-5~0+9~9`, and what it comes to, what it slips and forgets included; a single step in full. */
function writeQuickPass(chain: Chain, { stride, slips }: QuickPass, random: Random): Pass {
  const { start, steps } = chain;
  if (steps.length === 1) return writeCarefulPass(chain);
  const isShown = (i: number) => (i + 1) % stride === 0 || i === steps.length - 1;
  let value = start;
  const values = steps.map((step, i) => {
    value = apply(value, step);
    if (slips > 0 && isShown(i) && random() < slips) value = slip(value, steps.slice(i + 1), random);
    return value;
  });
  const text = steps.map(
    ({ operator, operand }, i) => `${operator}${operand}${isShown(i) ? `~${values[i]! % 10}` : ""}`,
  );
  const tens = [start, ...values].map((number) => Math.floor(number / 10));
  const carries = tens.slice(1).map((ten, i) => ten - tens[i]!);
  const forgotten = carries.filter((carry) => carry !== 0 && random() < HABITS.forgets);
  const result = value - 10 * forgotten.reduce((sum, carry) => sum + carry, 0);
  return { text: `${start}${text.join("")}\n`, result: result >= 0 && result <= LARGEST_VALUE ? result : value };
}

/** A value near it from which the sum can go on, or the value itself. */
function slip(value: number, rest: readonly Step[], random: Random): number {
  const slipped = value + (random() < 0.5 ? 1 : -1) * (random() < 0.7 ? 1 : 2);
  return staysInRange(slipped, rest) ? slipped : value;
}

/** A line for each step, all of them right. The last digit comes first: what is left then is whether the tens change. */
function writeCarefulPass(chain: Chain): Pass {
  const values = chainValues(chain);
  const lines = chain.steps.map(
    (step, i) =>
      `${formatChain({ start: values[i - 1] ?? chain.start, steps: [step] })}~${values[i]! % 10}=${values[i]}\n`,
  );
  return { text: lines.join(""), result: values.at(-1)! };
}

/** Whether every value from `value` on is within 0 to LARGEST_VALUE. */
export function staysInRange(value: number, steps: readonly Step[]): boolean {
  return [value, ...chainValues({ start: value, steps: [...steps] })].every((v) => v >= 0 && v <= LARGEST_VALUE);
}

function apply(value: number, { operator, operand }: Step): number {
  return operator === "+" ? value + operand : value - operand;
}
