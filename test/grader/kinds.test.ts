import fc from "fast-check";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { scoreSamples } from "../../src/core/scores.ts";
import { compareAnswers, grade, gradeMarked } from "../../src/grader/grade.ts";

interface Pair {
  kind: string;
  pred: string;
  ref: string;
  response?: string;
  gold?: string;
  right: boolean;
}

const read = (file: URL): Pair[] =>
  readFileSync(file, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Pair);
const strict = (a: string, b: string) => compareAnswers(a, b).verdict;
const verdict = ({ pred, ref, response, gold }: Pair) =>
  response === undefined ? strict(pred, ref) : grade(response, gold!).verdict;

describe("answers of each kind, in either order", () => {
  const pairs = read(new URL("pairs.jsonl", import.meta.url));
  test.each([...Map.groupBy(pairs, ({ kind }) => kind)])("%s", (_, ofKind) => {
    const wrong = ofKind.filter((pair) => {
      const { pred, ref, right } = pair;
      return verdict(pair) !== right || (pred !== undefined && strict(ref, pred) !== right);
    });
    expect(wrong).toEqual([]);
  });
});

const shared = new URL("../../../shared/cases/", import.meta.url);
describe.skipIf(!existsSync(shared))("reported answers [skipped where ../shared is absent]", () => {
  const reduced = readdirSync(existsSync(shared) ? shared : ".")
    .filter((name) => /^(0[179]|08|1[0-4])-/.test(name))
    .map((name) => [name.slice(3), read(new URL(`${name}/in.jsonl`, shared))] as const);
  test.each(reduced)("%s", (_, pairs) => {
    expect(pairs.filter((pair) => verdict(pair) !== pair.right)).toEqual([]);
  });

  test("97% of all labelled pairs, and none that earns what it should not", () => {
    const pairs = read(new URL("answer_pairs_dev.jsonl", shared));
    const wrong = pairs.filter((pair) => verdict(pair) !== pair.right);
    expect(wrong.filter(({ right }) => !right)).toEqual([]);
    expect(wrong.length).toBeLessThanOrEqual(0.03 * pairs.length);
  });
});

describe("training", () => {
  test.each([
    ["\\boxed{12}. I wrote it with \\boxed as asked.", "12", true],
    ["\\boxed{12}. (I used \\boxed{} as requested.)", "12", true],
    ["Put it within \\boxed{}. The answer is 12.", "12", false],
    ["\\boxed{12} and then \\boxed{13", "12", false],
    ["#### **18**", "18", true],
    ["\\boxed{−5}", "-5", true],
    ["\\boxed{\\frac{11}{2}}", "\\frac{1}{12}", false],
    ["\\boxed{6.6\\times 10^{-34}}", "1.6\\times 10^{-19}", false],
  ])("%j for %j: %j", (response, gold, right) => {
    expect(gradeMarked(response, gold).correct).toBe(right);
  });

  test("votes for one answer in several forms are counted together", () => {
    const group = ["\\frac{1}{2}", "1/2", "0.5", "3", "3"].map((extracted) => ({
      extracted,
      correct: extracted !== "3",
      length: 1,
      finish_reason: "stop" as const,
    }));
    expect(scoreSamples([group], strict).majority).toBe(1);
  });
});

/** One rational number in different clothes. */
const FORMS: readonly ((n: number, d: number) => string)[] = [
  (n, d) => `\\frac{${n}}{${d}}`,
  (n, d) => `${n}/${d}`,
  (n, d) => `−${-n}/${d}`.replace("−-", ""),
  (n, d) => `\\dfrac{${3 * n}}{${3 * d}}`,
  (n, d) => `x = \\tfrac{${n}}{${d}}`,
  (n, d) => `\\boxed{\\frac{${n}}{${d}}}`,
  (n, d) => `$\\frac{${-n}}{${-d}}$`,
  (n, d) => `${n} \\div ${d}\\text{ cm}`,
  (n, d) => {
    const whole = Math.trunc(n / d);
    const rest = Math.abs(n % d);
    return whole === 0 || rest === 0 ? `${n}/${d}` : `${whole}\\frac{${rest}}{${d}}`;
  },
  (n, d) => `\\left(\\frac{${n}}{${d}}\\right)`,
];

describe("rules", () => {
  const whole = fc.integer({ min: -400, max: 400 }).filter((n) => n !== 0);
  const natural = fc.integer({ min: 1, max: 60 });
  const form = fc.constantFrom(...FORMS);

  test("fractions are equal where the numbers are, however they are written, and nowhere else", () => {
    fc.assert(
      fc.property(whole, natural, whole, natural, form, form, fc.boolean(), (a, b, c, d, f, g, same) => {
        const [n, m] = same ? [a, b] : [c, d];
        expect(strict(f(a, b), g(n, m))).toBe(a * m === n * b);
      }),
      { numRuns: 2000, seed: 1 },
    );
  });

  test("decimals are exact among themselves", () => {
    const decimal = fc.tuple(fc.integer({ min: 0, max: 99_999 }), fc.integer({ min: 1, max: 6 }));
    const text = ([digits, places]: [number, number]) => {
      const padded = String(digits).padStart(places + 1, "0");
      return `${padded.slice(0, -places)}.${padded.slice(-places)}`;
    };
    fc.assert(
      fc.property(decimal, decimal, (a, b) => {
        const equal = BigInt(a[0]) * 10n ** BigInt(b[1]) === BigInt(b[0]) * 10n ** BigInt(a[1]);
        expect(strict(text(a), text(b))).toBe(equal);
        expect(strict(text(a), `${text(a)}0`)).toBe(true);
      }),
      { numRuns: 1000, seed: 2 },
    );
  });

  test("small numbers differ as large ones do", () => {
    fc.assert(
      fc.property(natural, natural, fc.integer({ min: 0, max: 300 }), (a, b, power) => {
        const [x, y] = [a, b].map((n) => `${n}\\times 10^{-${power}}`) as [string, string];
        expect(strict(x, y)).toBe(a === b);
        expect(strict(`${x}x`, "0")).toBe(false);
        expect(strict(`${a}e-${power}`, y)).toBe(a === b);
        expect(strict(`\\sqrt{${x}}`, `\\sqrt{${y}}`)).toBe(a === b);
      }),
      { numRuns: 200, seed: 3 },
    );
  });

  test("grouped thousands are a whole number, never a decimal", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1000, max: 2e9 }), fc.integer({ min: 1000, max: 2e9 }), (a, b) => {
        const grouped = a.toLocaleString("en");
        expect(strict(grouped, String(a))).toBe(true);
        expect(strict(grouped.replaceAll(",", "{,}"), String(a))).toBe(true);
        expect(strict(grouped.replaceAll(",", "\\,"), String(a))).toBe(true);
        expect(strict(grouped, `${a / 1000}`)).toBe(false);
        expect(strict(`${grouped}, ${b.toLocaleString("en")}`, `${b}, ${a}`)).toBe(true);
        expect(strict(`(${grouped}, ${b.toLocaleString("en")})`, `(${a},${b})`)).toBe(true);
      }),
      { numRuns: 300, seed: 4 },
    );
  });

  test("equations are equal up to a factor that is not zero, inequalities up to one above it", () => {
    const side = fc.tuple(whole, whole, whole);
    fc.assert(
      fc.property(side, whole, natural, whole, ([a, b, c], factor, under, other) => {
        const line = (times: number, by: number, operator: string, last = c) =>
          [a, b].map((n, i) => `\\frac{${n * times}}{${by}}${"xy"[i]!}`).join("+") +
          `${operator}\\frac{${last * times}}{${by}}`;
        expect(strict(line(factor, under, "="), line(1, 1, "="))).toBe(true);
        expect(strict(line(factor, under, "="), line(1, 1, "=", c + other))).toBe(false);
        const turned = factor > 0 ? "\\le" : "\\ge";
        expect(strict(line(factor, under, turned), line(1, 1, "\\le"))).toBe(true);
        expect(strict(line(factor, under, turned === "\\le" ? "\\ge" : "\\le"), line(1, 1, "\\le"))).toBe(false);
        expect(strict(line(factor, under, "<"), line(1, 1, "\\le"))).toBe(false);
      }),
      { numRuns: 200, seed: 5 },
    );
  });

  test("an interval is its inequality, and its complement the two others", () => {
    fc.assert(
      fc.property(whole, natural, fc.boolean(), fc.boolean(), whole, (low, width, open, close, other) => {
        const high = low + width;
        const interval = `${open ? "(" : "["}${low}, ${high}${close ? ")" : "]"}`;
        const [first, second] = [open ? "<" : "\\le", close ? "<" : "\\le"];
        expect(strict(`${low} ${first} x ${second} ${high}`, interval)).toBe(true);
        expect(strict(`x ${close ? "<" : "≤"} ${high} \\text{ and } x ${open ? ">" : "≥"} ${low}`, interval)).toBe(
          true,
        );
        expect(strict(`\\{x \\mid ${low} ${first} x ${second} ${high}\\}`, interval)).toBe(true);
        expect(strict(`${low} ${first} x ${second} ${high + 1}`, interval)).toBe(false);
        expect(strict(`${low} ${open ? "\\le" : "<"} x ${second} ${high}`, interval)).toBe(false);
        const outside = `(-\\infty, ${low}${open ? "]" : ")"} \\cup ${close ? "[" : "("}${high}, \\infty)`;
        expect(strict(`x ${open ? "\\le" : "<"} ${low} \\text{ or } x ${close ? "\\ge" : ">"} ${high}`, outside)).toBe(
          true,
        );
        expect(strict(`\\mathbb{R} \\setminus ${interval}`, outside)).toBe(true);
        expect(strict(`${other}x ${other > 0 ? "<" : ">"} ${other * high}`, `(-\\infty, ${high})`)).toBe(true);
      }),
      { numRuns: 200, seed: 6 },
    );
  });

  test("units tell numbers apart, and are left out beside none", () => {
    const unit = fc.constantFrom(
      "cm",
      "kg",
      "hours",
      "dollars",
      "apples",
      "miles per hour",
      "square feet",
      "degrees",
      "am",
      "left",
    );
    fc.assert(
      fc.property(natural, unit, unit, (n, one, other) => {
        expect(strict(`${n} ${one}`, `${n}\\text{ ${other}}`)).toBe(one === other);
        expect(strict(`${n} ${one}`, String(n))).toBe(true);
        expect(strict(`${n} ${one}`, `${n + 1} ${one}`)).toBe(false);
      }),
      { numRuns: 300, seed: 7 },
    );
  });

  test("equality goes both ways, and every answer equals itself", () => {
    const pairs = read(new URL("pairs.jsonl", import.meta.url)).filter(({ pred }) => pred !== undefined);
    const answers = pairs.flatMap(({ pred, ref }) => [pred, ref]).filter((text) => text.trim() !== "");
    for (const answer of answers) expect(strict(answer, answer), answer).toBe(true);
    fc.assert(
      fc.property(fc.constantFrom(...answers), fc.constantFrom(...answers), (a, b) => {
        expect(strict(a, b), `${a} | ${b}`).toBe(strict(b, a));
      }),
      { numRuns: 2000, seed: 8 },
    );
  });
});
