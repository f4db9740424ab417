/**
 * Chains of thought for sums like `7+8-5+9`, as a reasoner writes them that is careful because it is fallible: it works
 * through the steps, slips now and then, doubts itself, works through them again, and believes what it got twice.
 * A checked answer is right more often than a first one, so the tokens that checking costs buy something; much of the
 * checking is habit and buys nothing (appendix A of the paper shows the same in a large model).
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

/** Every value on the way stays in this range, in a right chain and in a mistaken one. */
const LARGEST_VALUE = 99;

/** How the demonstrations behave. */
const HABITS = {
  /** Chance of a slip in a step without and with a carry, for a chain of one step; each further step adds `perStep` of it. */
  slip: { plain: 0.006, carry: 0.07, perStep: 0.3 },
  /** A slip is off by this much, up or down: never by ten, so that comparing last digits finds it. */
  slipSizes: [1, 2],
  /** Chance that a pass is written on one line, `7+8=15-5=10`, rather than a line for each step; the first and later ones. */
  oneLine: { first: 0.2, check: 0.5 },
  /** Chance of answering without a check, after a check that agrees, and after one that does not. */
  stops: { unchecked: 0.2, agreeing: 0.65, differing: 0.1 },
  /** Chance of "The answer is" before the box. */
  announces: 0.6,
  /** No further pass once this many steps or passes are written. */
  patience: { steps: 16, passes: 6 },
} as const;

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

/** A response with its end-of-turn marker left out: passes, doubts and `\boxed{}`. */
export function writeDemonstration(chain: Chain, random: Random): string {
  const results: number[] = [];
  let text = "";
  while (true) {
    const style = results.length === 0 ? HABITS.oneLine.first : HABITS.oneLine.check;
    const values = attempt(chain, random);
    text += writePass(chain, values, random() < style);
    const result = values.at(-1)!;
    const before = results.at(-1);
    const situation = before === undefined ? "unchecked" : before === result ? "agreeing" : "differing";
    results.push(result);
    const { patience } = HABITS;
    const tired = results.length >= patience.passes || (results.length + 1) * chain.steps.length > patience.steps;
    const stops = random() < HABITS.stops[situation] || tired;
    const verdict = {
      unchecked: `I get ${result}.`,
      agreeing: `I got ${before}, now ${result} again.`,
      differing: `I got ${before}, now ${result}.`,
    }[situation];
    if (stops) {
      if (situation !== "unchecked") text += `${verdict}\n`;
      return `${text}${random() < HABITS.announces ? "The answer is " : ""}\\boxed{${result}}`;
    }
    const doubts = DOUBTS[situation];
    text += `${verdict}${doubts[Math.floor(random() * doubts.length)]}\n`;
  }
}

/** The values of one pass, slips included. */
function attempt({ start, steps }: Chain, random: Random): number[] {
  const factor = 1 + HABITS.slip.perStep * (steps.length - 1);
  let value = start;
  return steps.map((step, i) => {
    const right = apply(value, step);
    const carries = Math.floor(right / 10) !== Math.floor(value / 10);
    const slips = random() < factor * (carries ? HABITS.slip.carry : HABITS.slip.plain);
    if (slips) {
      const size = HABITS.slipSizes[random() < 0.5 ? 0 : 1];
      const wrong = right + (random() < 0.5 ? size : -size);
      if (staysInRange(wrong, steps.slice(i + 1))) return (value = wrong);
    }
    return (value = right);
  });
}

function writePass({ start, steps }: Chain, values: readonly number[], oneLine: boolean): string {
  let text = "";
  steps.forEach(({ operator, operand }, i) => {
    if (i === 0 || !oneLine) text += i === 0 ? start : values[i - 1];
    text += `${operator}${operand}=${values[i]}${oneLine && i < steps.length - 1 ? "" : "\n"}`;
  });
  return text;
}

/** Whether every value from `value` on is within 0 to LARGEST_VALUE. */
export function staysInRange(value: number, steps: readonly Step[]): boolean {
  return [value, ...chainValues({ start: value, steps: [...steps] })].every((v) => v >= 0 && v <= LARGEST_VALUE);
}

function apply(value: number, { operator, operand }: Step): number {
  return operator === "+" ? value + operand : value - operand;
}
