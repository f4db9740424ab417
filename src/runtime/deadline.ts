import { createContext, Script } from "node:vm";
import { FormatError } from "../errors.ts";
import type { Within } from "../hf/tokenizer.ts";

const script = new Script("job()");

/**
 * Runs synchronous work, and throws FormatError where it takes longer than `seconds`: a regular expression of a tokenizer.json
 * may take time that grows exponentially with the text, and nothing else interrupts one. Starting a deadline takes about a
 * millisecond; work within another one's is the other's.
 */
export function deadline(seconds: number): Within {
  const context = createContext({ job: null as (() => void) | null });
  return (work) => {
    if (context["job"]) return work();
    let result: ReturnType<typeof work>;
    context["job"] = () => {
      result = work();
    };
    try {
      script.runInContext(context, { timeout: 1000 * seconds });
      return result!;
    } catch (error) {
      if ((error as { code?: unknown }).code !== "ERR_SCRIPT_EXECUTION_TIMEOUT") throw error;
      throw new FormatError(
        `expected the tokenizer to be done with a text within ${seconds} s; a pattern in its tokenizer.json, or its chat template, does not end`,
        { cause: error },
      );
    } finally {
      context["job"] = null;
    }
  };
}
