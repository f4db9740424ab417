/** What tokens say, special ones left out. */
export type Decode = (tokenIds: readonly number[]) => string;

/** Whether the last of some tokens completes one of the strings `stop`. Decodes no more of them than such a string takes. */
export function stopsAfter(stop: readonly string[], decode: Decode): (tokenIds: readonly number[]) => boolean {
  const most = Math.max(...stop.map((string) => string.length));
  // A token is at least a byte of the text; the one more is for decoders that treat the start of a text differently.
  const bytes = 1 + Math.max(...stop.map((string) => new TextEncoder().encode(string).length));
  return (tokenIds) => {
    let text = "";
    // More where special tokens, of which nothing is said, lie between.
    for (let count = bytes; ; count *= 2) {
      text = decode(tokenIds.slice(-count));
      if (text.length > most || count >= tokenIds.length) break;
    }
    return stop.some((string) => text.includes(string));
  };
}

/** `text` up to the first of the strings `stop`. */
export function beforeStop(text: string, stop: readonly string[]): string {
  const ends = stop.map((string) => text.indexOf(string)).filter((at) => at >= 0);
  return text.slice(0, Math.min(text.length, ...ends));
}

/** Gives a text out as it comes, up to the first of the strings `stop`: what may be the beginning of one waits for more. */
export function untilStop(stop: readonly string[]): (added: string, last: boolean) => string {
  let held = "";
  return (added, last) => {
    const text = beforeStop(held + added, stop);
    const given = text.length - (last ? 0 : beginning(text, stop));
    held = text.slice(given);
    return text.slice(0, given);
  };
}

/** How many characters at the end of a text may be the beginning of one of the strings. */
function beginning(text: string, strings: readonly string[]): number {
  const longest = Math.max(0, ...strings.map((string) => string.length - 1));
  for (let count = Math.min(longest, text.length); count > 0; count--)
    if (strings.some((string) => string.startsWith(text.slice(-count)))) return count;
  return 0;
}
