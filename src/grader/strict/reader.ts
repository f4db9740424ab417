import { call, number, symbol, type Expression } from "../formula/expression.ts";
import { readCommand } from "./commands.ts";
import { FormulaReader } from "./formula-reader.ts";
import { CLOSING, ENDS, isSeparator, MODULI, RELATIONS, SET_OPERATIONS } from "./marks.ts";
import { compound } from "./measured.ts";
import { ReadError } from "./tokens.ts";
import { measureOf } from "./units.ts";

/** Reads what answers are made of: lists, relations, sets, tuples, units. */
export class Reader extends FormulaReader {
  whole(): Expression {
    this.take("=");
    const answer = this.list();
    if (!this.atEnd) throw new ReadError(`unexpected ${this.peek()}`);
    return answer;
  }

  protected override command(name: string): Expression {
    return readCommand(this, name);
  }

  /** Answers between separators; groups between semicolons are tuples where commas are in them. */
  protected override list(): Expression {
    const groups: Expression[][] = [[]];
    const used = new Set<string>();
    for (;;) {
      groups.at(-1)!.push(this.#relation());
      let separated = false;
      while (isSeparator(this.peek())) {
        if (this.peek() === ";") groups.push([]);
        used.add(this.next().text);
        separated = true;
      }
      if (!separated) break;
    }
    if (groups.length > 1 && groups.some((group) => group.length > 1)) {
      if (groups.some((group) => group.length < 2)) throw new ReadError("uneven groups");
      return call("list", ...groups.map((group) => call("()", ...group)));
    }
    const items = groups.flat();
    if (items.length === 1) return items[0]!;
    const [only] = used.size === 1 ? used : [];
    return call(only === "and" || only === "or" ? only : "list", ...items);
  }

  #relation(): Expression {
    const sides = [this.#side()];
    const operators: string[] = [];
    for (let operator = RELATIONS[this.peek()]; operator !== undefined; operator = RELATIONS[this.peek()]) {
      const roughly = this.next().text === "\\approx";
      const side = this.#side();
      // What a value is near to is not said of it: the value is there already.
      if (roughly && (operators.length > 0 || sides[0]!.kind !== "symbol")) continue;
      operators.push(operator);
      sides.push(side);
    }
    // x < 1 \cup x > 2
    const [between] = sides.length === 3 ? sides.slice(1, 2) : [];
    const apart =
      between?.kind === "call" && between.name === "union" && between.args.every((part) => part.kind !== "call");
    if (apart && operators.every((operator) => /^[<>]/.test(operator)))
      return call(
        "or",
        { kind: "relation", operator: operators[0]!, left: sides[0]!, right: between.args[0]! },
        { kind: "relation", operator: operators[1]!, left: between.args[1]!, right: sides[2]! },
      );
    const relations = operators.map((operator, i): Expression => ({
      kind: "relation",
      operator,
      left: sides[i]!,
      right: sides[i + 1]!,
    }));
    return relations.length === 0 ? sides[0]! : relations.length === 1 ? relations[0]! : call("chain", ...relations);
  }

  /** A side of a relation: a value with its percent sign and unit, or sets. */
  #side(): Expression {
    this.money = [];
    let side = this.#ratio();
    for (let name = SET_OPERATIONS[this.peek()]; name !== undefined; name = SET_OPERATIONS[this.peek()]) {
      this.next();
      side = call(name, side, this.#ratio());
    }
    if (this.take("%")) side = call("percent", side);
    side = this.#measured(side);
    return this.#modulus(side);
  }

  /** What stands behind a value: words and units, up to the next separator. */
  #measured(value: Expression): Expression {
    const start = this.at;
    while (!this.atEnd && !this.ends() && (this.at === start || !this.#beginsNext())) {
      if (this.next().text === "^" && this.take("{")) while (!this.take("}")) this.next();
    }
    const tokens = [...this.money, ...this.since(start)];
    if (tokens.length === 0) return value;
    const measure = measureOf(tokens);
    if (measure === null || (value.kind === "symbol" && value.name !== "\\pi" && !measure.known))
      throw new ReadError("words that are no unit");
    const measured = call("measured", value, symbol(measure.text), number(measure.over), number(measure.under));
    if (!this.#beginsNext()) return measured;
    const whole = compound([measured, this.#measured(this.sum())]);
    if (!whole) throw new ReadError("two values side by side");
    return whole;
  }

  /** Whether a number follows a unit: 1 hour 30 minutes. */
  #beginsNext(): boolean {
    return this.kind() === "number" && this.token(-1)?.kind === "word";
  }

  protected override ends(): boolean {
    const text = this.peek();
    const modulus = text === "(" && MODULI.has(this.peek(1));
    return (
      ENDS.has(text) ||
      RELATIONS[text] !== undefined ||
      modulus ||
      (text === "|" && (this.inSet || this.closesBars)) ||
      (text === ":" && this.inSet)
    );
  }

  #modulus(value: Expression): Expression {
    const bracket = this.peek() === "(" && MODULI.has(this.peek(1));
    if (!bracket && !MODULI.has(this.peek())) return value;
    if (bracket) this.next();
    this.next();
    const modulus = this.sum();
    if (bracket) this.expect(")");
    return call("mod", value, modulus);
  }

  #ratio(): Expression {
    const parts = [this.sum()];
    while (!this.inSet && this.takeOf([":", "to"]) !== "") parts.push(this.sum());
    return parts.length === 1 ? parts[0]! : call("ratio", ...parts);
  }

  /** What brackets hold: a formula, or a tuple, interval, set or list. */
  protected override bracketed(): Expression {
    const open = this.next().text;
    const closes = CLOSING[open]!;
    if (open === "\\{" && this.take("\\}")) return symbol("\\emptyset");
    const inner = this.nested(() => this.list(), { set: open === "\\{" });
    if (open === "\\{" && (this.take("|") || this.take(":"))) {
      const condition = this.nested(() => this.list());
      this.expect("\\}");
      return call("builder", inner, condition);
    }
    const close = this.next().text;
    if (!closes.includes(close)) throw new ReadError(`expected ${closes[0]!}`);
    const parts = inner.kind === "call" && ["list", "and", "or"].includes(inner.name) ? inner.args : [inner];
    if (open === "\\{") return call("set", ...parts);
    if (parts.length > 1) return open === "{" ? inner : call(`${open}${close}`, ...parts);
    if (closes[0] !== close) throw new ReadError(`expected ${closes[0]!}`);
    return inner;
  }

  override rows(environment: string): Expression[][] {
    const rows: Expression[][] = [[]];
    while (!this.atEnd && this.peek() !== "\\end") {
      if (this.take("\\\\")) rows.push([]);
      else if (this.takeOf(["&", "\\hline", ",", ";"]) === "") rows.at(-1)!.push(this.nested(() => this.#relation()));
    }
    this.expect("\\end");
    this.expect("{");
    if (this.next().text !== environment) throw new ReadError(`expected the end of ${environment}`);
    this.expect("}");
    return rows.filter((row) => row.length > 0);
  }
}
