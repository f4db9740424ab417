import { configKeys } from "../run/config.ts";
import type { Flags } from "./args.ts";
import { COMMANDS, CONFIGURED } from "./commands.ts";

/** `pith --help`: the commands. */
export function overview(): string {
  const commands = { ...CONFIGURED, ...COMMANDS };
  const rows = Object.entries(commands).map(([name, { summary }]) => [name, summary] as const);
  return `Usage: pith COMMAND [ARGUMENTS]

Commands
${table(rows)}

pith COMMAND --help says what a command takes; pith --version prints the version.`;
}

/** `pith COMMAND --help`. */
export function commandHelp(name: string): string {
  const configured = CONFIGURED[name];
  const { summary, flags } = configured ?? COMMANDS[name]!;
  const takes = configured ? "[CONFIG.toml...] [--section.key VALUE...]" : COMMANDS[name]!.takes;
  const sections = [`Usage: pith ${[name, takes].filter((part) => part !== "").join(" ")}`, summary];
  const own = flagRows(configured ? { ...flags, ...CONFIG_FLAG } : flags);
  if (own.length > 0) sections.push(`Options\n${table(own)}`);
  if (configured) {
    const keys = configKeys().map(({ key, default: value, description }) => {
      const shown = value === undefined ? "unset" : JSON.stringify(value);
      return [`--${key}`, `${description} (${shown})`] as const;
    });
    sections.push(`Configuration\n${table(keys)}`);
  }
  return sections.join("\n\n");
}

export const CONFIG_FLAG: Flags = {
  config: { value: "FILE", help: "a TOML file, before those that are named without a flag" },
};

export const HELP_FLAG: Flags = { help: { short: "h", help: "this text" } };

const flagRows = (flags: Flags): (readonly [string, string])[] =>
  Object.entries(flags).map(([name, { value, help, default: fallback }]) => [
    value ? `--${name} ${value}` : `--${name}`,
    fallback === undefined ? help : `${help} (${fallback})`,
  ]);

function table(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join("\n");
}
