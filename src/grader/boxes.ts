/** A box of a text: where it begins and ends, and what is in it. */
export interface Box {
  start: number;
  end: number;
  content: string;
}

const COMMAND = "\\boxed";
const FRAMED = "\\fbox{";
const WORD = "box";
/** What may follow the command without braces; anything else is prose about boxes. */
const BARE = /^(?:[-+]?(?:\d+(?:[.,/:]\d+)*|\.\d+)%?|\\(?:frac|dfrac|sqrt|pi)(?![a-zA-Z])[^\s$.,]*)/;

/** What stands in a box where an answer would: the box is spoken of. */
const PLACEHOLDER = /^(?:\\?[lc]?dots|[.…_\s]+|(?:\\text\{)?(?:your |the |my )?(?:final )?answer(?: here)?\}?)$/i;

/** The boxes of a text that hold something, the last first; a box that is never closed is the last to come, as null. */
export function* boxesFromEnd(text: string): Generator<Box | null> {
  // One word is looked for, so that no search for another goes through the whole text again and again.
  for (let word = text.lastIndexOf(WORD); word > 0; word = text.lastIndexOf(WORD, word - 1)) {
    const start = text.startsWith(COMMAND, word - 1) ? word - 1 : text.startsWith(FRAMED, word - 2) ? word - 2 : -1;
    if (start < 0) continue;
    let at = text.startsWith(COMMAND, start) ? start + COMMAND.length : start + FRAMED.length - 1;
    while (text[at] === " ") at++;
    if (text[at] === "{") {
      const end = closing(text, at);
      if (end < 0) {
        yield null;
        return;
      }
      const content = text.slice(at + 1, end).trim();
      if (content !== "" && !PLACEHOLDER.test(content)) yield { start, end: end + 1, content };
    } else {
      const bare = BARE.exec(text.slice(at, at + 100))?.[0];
      if (bare !== undefined) yield { start, end: at + bare.length, content: bare };
    }
  }
}

/** Where the brace that opens at `start` is closed, -1 if it never is. */
function closing(text: string, start: number): number {
  let depth = 0;
  for (let i = start; i < text.length; i++) {
    if (text[i] === "{") depth++;
    else if (text[i] === "}" && --depth === 0) return i;
  }
  return -1;
}
