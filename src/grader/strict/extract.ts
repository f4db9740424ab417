import { boxesFromEnd } from "../boxes.ts";
import { markedAnswer, withoutEmphasis } from "../marked-answer.ts";
import { strictEqual } from "./equal.ts";
import { readTidied } from "./read.ts";
import { tidy } from "./spelling.ts";
import { formulasIn, masked, type Piece } from "./prose.ts";

/** How far back an answer is looked for, and a formula or number that nothing marks. */
const LONGEST = 20_000;
const LONGEST_UNMARKED = 2000;
/** Boxes that are looked at, and how far apart those of one answer stand. */
const MOST_BOXES = 50;
const LONGEST_GAP = 60;
/** A text this short, and without words, is the answer itself; so is a statement this short. */
const SHORT = 200;
const SHORT_STATEMENT = 60;

/** What may stand between two boxes that are one answer. */
const BETWEEN =
  /^(?:[\s$,;.]|\\[()[\]]|\\quad)*(?:[a-z]{1,20}\s+(?=and|or))?(?:\\[()[\]]|\\quad|\\text\s*\{\s*(?:and|or)?\s*\}|and|or|[a-zA-Z](?:_\w)?\s*=|[\s$,;.])*$/;

const NUMBER = String.raw`(?<![a-zA-Z\d.])[-+]?(?:\d{1,2}:\d{2}(?!\d)(?:\s*[ap]\.?m\b)?|\d+\s+\d+\/\d+|(?:(?:\d{1,3}(?:[, ]\d{3})+(?!\d)|\d+)(?:[.,]\d+)?|\.\d+)(?:\s*\/\s*\d+)?%?(?:\s+(?:hundred|thousand|million|billion|trillion)\b)?)`;
const NUMBERS = new RegExp(NUMBER, "g");
/** Numbers that one statement lists. */
const LISTED = new RegExp(String.raw`${NUMBER}(?:(?:\s*,\s*|\s+)(?:and|or)\s+${NUMBER}|\s*,\s+${NUMBER})*`);
/** A formula in plain text: what stands around a relation. */
const PLAIN_RELATION =
  /(?<![\w<>/.])[-+]?(?:\d[\d.]*[a-z]?|[a-zA-Z])[ ]*(?:<=|>=|!=|<|>)[ ]*[-+]?(?:\d[\d.]*(?:\/\d+)?|[a-zA-Z])(?![\w<>])/g;

/** GSM8K's notes of its calculations. */
const CALCULATION = /<<[^<>\n]{0,200}>>/g;
/** What ends a reasoning model's thoughts: an answer behind it goes before those in them. */
const THOUGHT = "</think>";
/** What says that an answer follows. */
const TRIGGER = /(?:answers?|options?|choices?)\s+(?:is|are)\s*:?|answer(?:\*\*|__)?\s*:|答案(?:是|为|：|:)/gi;
/** Where the statement of an answer ends: at its reason, its line or its sentence. */
const STATEMENT_END = /\b(?:because|since|as|which|where|not)\b|\n|[!?。]|\.(?=\s|$)/;

/**
 * The final answer of a response for the strict grader, "" if there is none: the last boxes that stand together, what is after
 * the last "####", what "answer is" or "answer:" is followed by, the last formula, the last number.
 */
export function extractStrict(response: string): string {
  const text = response.slice(-LONGEST).replaceAll(CALCULATION, "");
  const thought = text.lastIndexOf(THOUGHT);
  const said = thought < 0 ? "" : answerIn(text.slice(thought + THOUGHT.length));
  if (said !== "") return said;
  const hoped = beforeHope(text);
  if (hoped) return lastFormula(hoped) || hoped.trim();
  const bare = withoutEmphasis(text);
  if (isBare(bare)) return bare;
  return answerIn(text);
}

function answerIn(text: string): string {
  const boxes = boxesOf(text);
  if (boxes.length > 0) return joined(text, boxes);
  const marked = markedAnswer(text);
  if (marked !== "") return marked;
  const end = text.slice(-LONGEST_UNMARKED);
  const trigger = Array.from(end.matchAll(TRIGGER)).at(-1);
  const said = trigger ? end.slice(trigger.index + trigger[0].length) : "";
  // What it is not is no answer; what it is instead may follow.
  const [denied, instead] = /^\s*not\b(?:[^.!?\n]{0,80}?\bbut\b(?: rather)?([^\n]*))?/.exec(said) ?? [];
  if (denied !== undefined) return instead === undefined ? "" : statedAnswer(instead);
  const stated = trigger ? statedAnswer(said) : "";
  return stated || unmarkedAnswer(end);
}

/** Short texts without words, labels and dollar signs are answers themselves. */
function isBare(text: string): boolean {
  const words =
    /[a-zA-Z\d]\s+[a-zA-Z]{2,}|\s[a-zA-Z]{3,}|[Aa]nswer|\$|\\[([]|boxed|fbox|####|\*\*|[a-zA-Z]{3,}\s*:|^[a-zA-Z]{4,},/;
  const foreign = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Cyrillic}]/u;
  return (
    text.length <= SHORT &&
    !foreign.test(text) &&
    !words.test(text.replaceAll(/(?<![a-zA-Z])(?:and|or)(?![a-zA-Z])/g, ","))
  );
}

function boxesOf(text: string): Piece[] {
  const found: Piece[] = [];
  for (const box of boxesFromEnd(text)) {
    if (box) found.unshift(box);
    if (found.length === MOST_BOXES) break;
  }
  return found;
}

/** What "final answer is" and "I hope" hold between them. */
function beforeHope(text: string): string | null {
  const hope = text.lastIndexOf("I hope");
  if (hope < 0) return null;
  const head = text.slice(Math.max(0, hope - LONGEST_UNMARKED), hope).trimEnd();
  const [, answer] = /^[\s\S]*[Ff]inal [Aa]nswer is:?([\s\S]+)\.$/.exec(head) ?? [];
  return answer ?? null;
}

/** Contents of the last pieces between which there is no more than "and"; what is stated twice counts once. */
function joined(text: string, pieces: readonly Piece[]): string {
  let first = pieces.length - 1;
  const follows = (i: number) =>
    pieces[i - 1]!.end <= pieces[i]!.start &&
    pieces[i]!.start - pieces[i - 1]!.end <= LONGEST_GAP &&
    BETWEEN.test(text.slice(pieces[i - 1]!.end, pieces[i]!.start));
  while (first > 0 && follows(first)) first--;
  const contents = pieces.slice(first).map(({ content }) => content.trim());
  const [one] = contents;
  return contents.every((content) => content === one || strictEqual(content, one!) !== null)
    ? one!
    : contents.join(", ");
}

/** The last formulas that stand together, joined by commas; a number stated behind them goes before. */
function lastFormula(text: string): string {
  const found = formulasIn(text);
  if (found.length === 0) return "";
  const stated = /(?:^|\s)(?:is|by|equals)\s+([-+]?\d[\d.,/]*%?)/.exec(text.slice(found.at(-1)!.end))?.[1];
  return stated ? stated.replace(/[.,]$/, "") : joined(text, found);
}

/** The answer in what follows the words that announce it. */
function statedAnswer(tail: string): string {
  const start = /^[\s*_:]*/.exec(tail)![0].length;
  const rest = tail.slice(start);
  const end = STATEMENT_END.exec(masked(rest))?.index ?? rest.length;
  const statement = rest.slice(0, end);
  const formula = lastFormula(statement);
  if (formula !== "") return formula;
  const plain = withoutEmphasis(statement.replaceAll(/\\[()[\]]|\$/g, "")).replace(/[\s,;:]+$/, "");
  if (plain.length <= SHORT_STATEMENT && isMathematics(plain)) return oneOf(plain);
  const relation = statement.match(PLAIN_RELATION)?.at(-1);
  if (relation) return relation;
  if (statement.includes("=")) return statement.match(NUMBERS)?.at(-1) ?? "";
  return LISTED.exec(statement)?.[0] ?? (plain.length <= SHORT_STATEMENT ? plain : "");
}

/** The first of alternatives that say the same: 1/2, or 0.5. */
function oneOf(statement: string): string {
  const [first, ...others] = statement.split(/,?\s+or\s+/);
  return others.length > 0 && others.every((other) => strictEqual(other, first!) !== null) ? first! : statement;
}

/** Whether a text is read as a formula, and not as words. */
function isMathematics(text: string): boolean {
  const read = readTidied(tidy(text));
  return read !== null && !(read.kind === "symbol" && read.name.startsWith('"'));
}

const unmarkedAnswer = (text: string): string =>
  lastFormula(text) || (text.match(PLAIN_RELATION)?.at(-1) ?? text.match(NUMBERS)?.at(-1) ?? "");
