import { Environment, Interpreter, parse, tokenize } from "@huggingface/jinja";
import { FormatError } from "../errors.ts";
import { oneLine } from "./json.ts";

export interface ChatMessage {
  role: string;
  content: string;
}

/** Nodes of the template that are evaluated: far beyond what chat templates need, and reached in seconds. */
const MAX_STEPS = 100_000;
/** Characters of a text, or elements of a list, that a template may make. */
const MAX_SIZE = 1 << 20;

type Node = Parameters<Interpreter["evaluate"]>[0];
type Value = ReturnType<Interpreter["evaluate"]>;

/** A model's chat template: messages to the text that the model reads. */
export class ChatTemplate {
  readonly #program: ReturnType<typeof parse>;
  readonly #printed: ReadonlySet<unknown>;
  readonly #globals = new Environment();

  /** Throws FormatError for what is not Jinja, and for what would be rendered wrong. */
  constructor(source: string) {
    [this.#program, this.#printed] = explained(() => {
      const program = parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true }));
      return [program, printed(program as Block)];
    });
    for (const [name, value] of Object.entries(GLOBALS)) this.#globals.set(name, value);
  }

  /** Throws FormatError where the template raises, or does not end within MAX_STEPS. */
  render(messages: readonly ChatMessage[], variables: Record<string, unknown>): string {
    return explained(() => {
      const environment = new Environment(this.#globals);
      for (const [name, value] of Object.entries({ ...variables, messages })) environment.set(name, value);
      return String(new BoundedInterpreter(environment, this.#printed).run(this.#program).value);
    });
  }
}

function explained<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new FormatError(`the chat template cannot be rendered: ${oneLine((error as Error).message)}`, {
      cause: error,
    });
  }
}

/** What transformers gives a template besides its messages. */
const GLOBALS = {
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
  raise_exception: (message: string) => {
    throw new Error(message);
  },
  range: (...bounds: number[]) => {
    const [start, stop, step] = bounds.length > 1 ? bounds : [0, bounds[0]!];
    const length = Math.max(0, Math.ceil((stop! - start!) / (step ?? 1)));
    if (!(length <= MAX_SIZE)) throw new Error(`expected a range of at most ${MAX_SIZE} numbers, got ${length}`);
    return Array.from({ length }, (_, i) => start! + i * (step ?? 1));
  },
  strftime_now: (format: string) => strftime(new Date(), format),
};

function strftime(date: Date, format: string): string {
  const two = (n: number) => String(n).padStart(2, "0");
  const month = (style: "long" | "short") => new Intl.DateTimeFormat("en", { month: style }).format(date);
  const fields: Record<string, string> = {
    Y: String(date.getFullYear()),
    m: two(date.getMonth() + 1),
    d: two(date.getDate()),
    b: month("short"),
    B: month("long"),
    H: two(date.getHours()),
    M: two(date.getMinutes()),
    S: two(date.getSeconds()),
    "%": "%",
  };
  return format.replaceAll(/%(.)/g, (directive, letter: string) => fields[letter] ?? directive);
}

/** Ends templates that do not end by themselves, and prints as Python does. */
class BoundedInterpreter extends Interpreter {
  readonly #printed: ReadonlySet<unknown>;
  #steps = 0;

  constructor(environment: Environment, printedNodes: ReadonlySet<unknown>) {
    super(environment);
    this.#printed = printedNodes;
  }

  override evaluate(node: Node, environment: Environment): Value {
    if (++this.#steps > MAX_STEPS) throw new Error(`expected it to end within ${MAX_STEPS} steps`);
    const value = super.evaluate(node, environment);
    const size = (value.value as { length?: number } | null | undefined)?.length ?? 0;
    if (size > MAX_SIZE) throw new Error(`expected texts and lists of at most ${MAX_SIZE} elements, got ${size}`);
    if (Number.isNaN(value.value)) throw new Error("expected no formatting by %, got one");
    if (!this.#printed.has(node)) return value;
    if (value.type === "NullValue") return this.#text("None");
    return value.type === "BooleanValue" ? this.#text(value.value ? "True" : "False") : value;
  }

  #text(value: string): Value {
    return super.evaluate({ type: "StringLiteral", value } as unknown as Node, this.global);
  }
}

const STATEMENTS = new Set(["Set", "If", "For", "Macro", "CallStatement", "FilterStatement", "Comment"]);
const BLOCKS = ["body", "alternate", "defaultBlock"] as const;
type Block = { type: string } & { [name in (typeof BLOCKS)[number]]?: Block[] };

/** The expressions whose values are part of the text: those that stand in a block for themselves. */
function printed(block: Block, found = new Set<unknown>()): ReadonlySet<unknown> {
  for (const node of BLOCKS.flatMap((name) => block[name] ?? [])) {
    // @huggingface/jinja takes them and loses what the iteration has printed.
    if (node.type === "Break" || node.type === "Continue")
      throw new Error(`expected no statement ${node.type.toLowerCase()}, got one`);
    if (STATEMENTS.has(node.type)) printed(node, found);
    else found.add(node);
  }
  return found;
}
