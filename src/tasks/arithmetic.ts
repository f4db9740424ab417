import { ConfigError, FormatError } from "../errors.ts";
import { randomAt } from "../core/rng.ts";
import { gradeMarked } from "../grader/grade.ts";
import { chainValues, formatChain, parseChain, staysInRange, writeDemonstration } from "./arithmetic-chains.ts";
import { chainSolutions } from "./arithmetic-solutions.ts";
import type { Chain, QuickPass, Random, Step } from "./arithmetic-chains.ts";
import type { Problem, Task } from "./task.ts";

/** Difficulty of a problem = its number of steps, 1 (trivial) to 5 (hard for the bundled reasoner). */
const DIFFICULTIES = [1, 2, 3, 4, 5] as const;

/** One problem in this many, by its own text, is held out: no seed or size can leak a test problem into training. */
const HELD_OUT_ONE_IN = 8;

/** There are just enough distinct held-out problems of one step for 1,000 at equal shares. */
const OPTIONS = {
  seed: { fallback: 0, least: 0, most: Number.MAX_SAFE_INTEGER },
  num_train: { fallback: 20_000, least: 0, most: 1_000_000 },
  num_test: { fallback: 1_000, least: 0, most: 1_000 },
  quick_stride: { fallback: 2, least: 1, most: 5 },
  slips_percent: { fallback: 6, least: 0, most: 100 },
} as const;

/**
 * Sums like `7+8-5=?`, generated. Difficulties take turns, so that any first part of a list has them in equal shares.
 * Test problems are distinct; training problems are drawn with replacement (only about 1,400 have one step).
 * Options: seed, num_train, num_test; of the demonstrations quick_stride and slips_percent, by which the bundled reasoner's
 * are made (arithmetic-chains.ts, QuickPass).
 */
export function arithmeticTask(options: Readonly<Record<string, unknown>> = {}): Task {
  const unknown = Object.keys(options).find((name) => !Object.hasOwn(OPTIONS, name));
  if (unknown !== undefined) {
    throw new ConfigError(`task.options.${unknown}: expected one of ${Object.keys(OPTIONS).join(", ")}`);
  }
  const seed = readOption(options, "seed");
  const quick = { stride: readOption(options, "quick_stride"), slips: readOption(options, "slips_percent") / 100 };
  return {
    name: "arithmetic",
    train: generate(seed, readOption(options, "num_train"), "train"),
    test: generate(seed, readOption(options, "num_test"), "test"),
    render: (problem, tokenizer) =>
      tokenizer.applyChatTemplate([{ role: "user", content: problem.prompt }], { addGenerationPrompt: true }),
    judge: (problem, response) => gradeMarked(response, problem.answer),
    demonstration: (problem, from) => demonstration(problem, from, quick),
    solutions: (problem, response) => chainSolutions(response, problem.answer),
  };
}

function readOption(options: Readonly<Record<string, unknown>>, name: keyof typeof OPTIONS): number {
  const { fallback, least, most } = OPTIONS[name];
  const value = options[name] ?? fallback;
  if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= most) return value;
  throw new ConfigError(
    `task.options.${name}: expected a whole number from ${least} to ${most}, got ${JSON.stringify(value)}`,
  );
}

/** A chain of thought for `pith sft`; the end-of-turn token is the trainer's to add. Another seed, another response. */
function demonstration(problem: Problem, seed: number, quick: QuickPass): string {
  const chain = parseChain(problem.prompt);
  if (!chain) throw new FormatError(`expected a problem like "7+8-5=?", got "${problem.prompt}"`);
  return writeDemonstration(chain, quick, stream(seed, hash(problem.prompt)));
}

export function isHeldOut(prompt: string): boolean {
  return hash(prompt) % HELD_OUT_ONE_IN === 0;
}

function generate(seed: number, count: number, split: "train" | "test"): Problem[] {
  const random = stream(seed, split === "train" ? 1 : 2);
  const problems: Problem[] = [];
  const seen = new Set<string>();
  while (problems.length < count) {
    const difficulty = DIFFICULTIES[problems.length % DIFFICULTIES.length]!;
    const chain = drawChain(difficulty, random);
    const expression = formatChain(chain);
    const prompt = `${expression}=?`;
    if (isHeldOut(prompt) !== (split === "test")) continue;
    if (split === "test" && seen.has(prompt)) continue;
    seen.add(prompt);
    problems.push({ id: expression, prompt, answer: String(chainValues(chain).at(-1)), difficulty });
  }
  return problems;
}

/** No operator and operand occur together twice, so that "what follows +8" has one answer: a small model looks it up so. */
function drawChain(numSteps: number, random: Random): Chain {
  const below = (n: number) => Math.floor(random() * n);
  while (true) {
    const start = random() < 0.5 ? 1 + below(9) : 10 + below(90);
    const steps: Step[] = [];
    while (steps.length < numSteps) {
      const step: Step = { operator: random() < 0.5 ? "+" : "-", operand: 1 + below(9) };
      if (!steps.some(({ operator, operand }) => operator === step.operator && operand === step.operand))
        steps.push(step);
    }
    if (staysInRange(start, steps)) return { start, steps };
  }
}

/** Uniform numbers of [0, 1) in a row, by seed and key. */
function stream(seed: number, key: number): Random {
  let i = 0;
  return () => randomAt(seed, key, i++);
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193) >>> 0;
  return h;
}
