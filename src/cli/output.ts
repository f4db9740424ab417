import process from "node:process";

/**
 * Standard output and standard error. Results go to the first, everything else to the second. Texts of data sets, models and
 * file names reach both, so control characters are shown and never obeyed.
 */

/** The reader of standard output has gone, as `head` goes when it has its lines: what is still to say has nobody to hear it. */
export const readerGone = new AbortController();

/** Why results could not be written, if they could not. */
let lost: NodeJS.ErrnoException | null = null;

process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") readerGone.abort(error);
  else lost ??= error;
});
// Where standard error is gone there is nobody left to tell.
process.stderr.on("error", () => {});

// Line ends and tabs are text.
// oxlint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

/** Control characters as JSON spells them: a JSON text stays one. */
const shown = (text: string): string =>
  text.replaceAll(CONTROL, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);

/** Results without an end of line. */
export const write = (text: string): void => {
  if (!readerGone.signal.aborted) process.stdout.write(shown(text));
};

export const print = (line = ""): void => write(`${line}\n`);

export const note = (line = ""): void => void process.stderr.write(`${shown(line)}\n`);

/** Ends the process, for Dawn keeps it alive, when all output is out. Results that were lost make it a failure. */
export async function finish(code: number): Promise<never> {
  await new Promise((resolve) => process.stdout.write("", resolve));
  if (lost) note(`pith: cannot write to standard output: ${lost.code === "ENOSPC" ? "no space left" : lost.message}`);
  process.exit(lost && code === 0 ? 1 : code);
}
