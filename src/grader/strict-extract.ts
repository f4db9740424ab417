/** How far back an answer is looked for, and a formula or number that nothing marks. */
const LONGEST = 20_000;
const LONGEST_UNMARKED = 2000;
/** Boxes that are looked at, and how far apart those of one answer stand. */
const MOST_BOXES = 50;
const LONGEST_GAP = 60;

/** What may stand between two boxes that are one answer. */
const BETWEEN =
  /^(?:[\s$,;.]|\\[()[\]]|\\quad)*(?:[a-z]{1,20}\s+(?=and|or))?(?:\\[()[\]]|\\quad|\\text\s*\{\s*(?:and|or)?\s*\}|and|or|[a-zA-Z](?:_\w)?\s*=|[\s$,;.])*$/;

interface Piece {
  start: number;
  end: number;
  content: string;
}

function boxes(text: string): Piece[] {
  const found: Piece[] = [];
  const starts: number[] = [];
  for (
    let at = text.lastIndexOf("\\boxed");
    at >= 0 && starts.length < MOST_BOXES;
    at = at > 0 ? text.lastIndexOf("\\boxed", at - 1) : -1
  )
    starts.unshift(at);
  for (const start of starts) {
    let at = start + "\\boxed".length;
    while (text[at] === " ") at++;
    if (text[at] !== "{") {
      const token = /^[^\s$.,\\]+/.exec(text.slice(at, at + 100))?.[0];
      if (token) found.push({ start, end: at + token.length, content: token });
      continue;
    }
    let depth = 0;
    for (let i = at; i < text.length; i++) {
      if (text[i] === "{") depth++;
      else if (text[i] === "}" && --depth === 0) {
        found.push({ start, end: i + 1, content: text.slice(at + 1, i) });
        break;
      }
    }
  }
  return found;
}

/** Formulas between dollar signs, brackets or double dollar signs. */
const FORMULA = /\$\$([\s\S]+?)\$\$|\$((?:\\.|[^$\\])+?)\$|\\\(([\s\S]+?)\\\)|\\\[([\s\S]+?)\\\]/g;

/** The last formulas that stand together, joined by commas; a number stated behind them goes before. */
function lastFormula(text: string): string {
  const found = Array.from(text.matchAll(FORMULA), (match) => ({
    start: match.index,
    end: match.index + match[0].length,
    content: (match[1] ?? match[2] ?? match[3] ?? match[4])!.trim(),
  }));
  if (found.length === 0) return "";
  const stated = /(?:^|\s)(?:is|by|equals)\s+([-+]?\d[\d.,/]*%?)/.exec(text.slice(found.at(-1)!.end))?.[1];
  return stated ? stated.replace(/[.,]$/, "") : joined(text, found);
}

/** Contents of the last pieces between which there is no more than "and". */
function joined(text: string, pieces: readonly Piece[]): string {
  let first = pieces.length - 1;
  const follows = (i: number) =>
    pieces[i - 1]!.end <= pieces[i]!.start &&
    pieces[i]!.start - pieces[i - 1]!.end <= LONGEST_GAP &&
    BETWEEN.test(text.slice(pieces[i - 1]!.end, pieces[i]!.start));
  while (first > 0 && follows(first)) first--;
  return pieces
    .slice(first)
    .map(({ content }) => content.trim())
    .join(", ");
}

const NUMBER = /(?<![a-zA-Z\d])[-+]?(?:(?:\d{1,3}(?:[, ]\d{3})+|\d+)(?:[.,]\d+)?|\.\d+)(?:\s*\/\s*\d+)?%?/g;
/** What "final answer is" and "I hope" hold between them. */
function beforeHope(text: string): string | null {
  const hope = text.lastIndexOf("I hope");
  if (hope < 0) return null;
  const head = text.slice(Math.max(0, hope - LONGEST_UNMARKED), hope).trimEnd();
  const [, answer] = /^[\s\S]*[Ff]inal [Aa]nswer is:?([\s\S]+)\.$/.exec(head) ?? [];
  return answer ?? null;
}

/** A formula in plain text: what stands around a relation. */
const PLAIN_RELATION = /[-+]?[\w.]+\s*(?:<=|>=|!=|<|>)\s*[-+]?[\w./]+/g;

/** A response this short, and without words, is the answer itself. */
const SHORT = 200;

/**
 * The final answer of a response for the strict grader, "" if there is none: the last boxes that stand together, what is after
 * the last "####", what "final answer is" or "answer is" is followed by, the last formula, the last number.
 */
export function extractStrict(response: string): string {
  const text = response.slice(-LONGEST);
  const hoped = beforeHope(text);
  if (hoped) return lastFormula(hoped) || hoped.trim();
  const WORDS = /[a-zA-Z\d]\s+[a-zA-Z]{2,}|\s[a-zA-Z]{3,}|[Aa]nswer|\$|\\[([]|boxed|####/;
  if (text.length <= SHORT && !WORDS.test(text.replaceAll(/(?<![a-zA-Z])(?:and|or)(?![a-zA-Z])/g, ",")))
    return text.trim();
  const all = boxes(text);
  if (all.length > 0) return joined(text, all);
  const marked = text.lastIndexOf("####");
  if (marked >= 0)
    return text
      .slice(marked + 4)
      .split("\n", 1)[0]!
      .trim();
  const end = text.slice(-LONGEST_UNMARKED);
  const trigger = /(?:answer|Answer)(?: is)?:?/g;
  const [last] = Array.from(end.matchAll(trigger)).slice(-1);
  const tail = last ? end.slice(last.index + last[0].length) : end;
  const formula = lastFormula(tail) || lastFormula(end);
  if (formula !== "") return formula;
  const relation = end.match(PLAIN_RELATION)?.at(-1);
  return relation ?? tail.match(NUMBER)?.at(-1) ?? end.match(NUMBER)?.at(-1) ?? "";
}
