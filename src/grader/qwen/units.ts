/** The words that the paper's checker takes for units and deletes (Qwen2.5-Math). Each is used as a pattern: "." is any character. */
const WORDS = [
  "east|degree|mph|kmph|ft|m sqaure| m east|sq m|deg|mile|q .|monkey|prime|ratio|profit of rs|rd|o|gm|p . m|lb|tile|per|dm|lt|gain|ab",
  "way|west|a .|b .|c .|d .|e .|f .|g .|h .|t|a|h|no change|men|soldier|pie|bc|excess|st|inches|noon|percent|by|gal|kmh|c|acre|rise",
  "a . m|th|π r 2|sq|mark|l|toy|coin|sq . m|gallon|° f|profit|minw|yr|women|feet|am|pm|hr|cu cm|square|v â € ™|are|rupee|rounds|cubic",
  "cc|mtr|s|ohm|number|kmph|day|hour|minute|min|second|man|woman|sec|cube|mt|sq inch|mp|∏ cm ³|hectare|more|sec|unit|cu . m|cm 2",
  "rs .|rs|kg|g|month|km|m|cm|mm|apple|liter|loss|yard|pure|year|increase|decrease|d|less|Surface|litre|pi sq m|s .|metre|meter|inch",
].flatMap((line) => line.split("|"));

/** Word characters as Python's \w has them: letters, digits and the underscore of every script. */
const OTHER = String.raw`[^\p{L}\p{N}_]`;

const PATTERNS = [...WORDS, ...WORDS.map((word) => `${word}s`)].map((word) => ({
  pattern: new RegExp(`(^|${OTHER})${word}($|${OTHER})`, "gu"),
  /** What a text must have in it to match, before the first "." of the word. */
  start: word.split(".")[0]!,
}));

/** Deletes unit words that stand alone, twice over the list; a removal that would leave nothing is not done. */
export function removeUnits(text: string): string {
  let result = text;
  for (let pass = 0; pass < 2; pass++) {
    for (const { pattern, start } of PATTERNS) {
      if (!result.includes(start)) continue;
      const without = result.replace(pattern, "$1$2");
      if (without !== "") result = without;
    }
  }
  return result;
}
