import { readFileSync } from "node:fs";
import process from "node:process";
import { PithError, UsageError } from "../errors.ts";
import { configKeys, loadConfig } from "../run/config.ts";
import { typedSettings } from "../run/typed-settings.ts";
import { nearest } from "../run/nearest.ts";
import { readArgs, type Args, type Flags } from "./args.ts";
import { COMMANDS, CONFIGURED, type ConfiguredCommand } from "./commands.ts";
import { commandHelp, CONFIG_FLAG, HELP_FLAG, overview } from "./help.ts";
import { files } from "./host.ts";
import { finish, note, print, readerGone } from "./output.ts";
import { shipped } from "./shipped.ts";

// The hub's client logs to standard output, which is for results; what it says is noted (host.ts).
console.debug = console.info = () => {};

/** Every configuration key as a flag; a key that holds free names takes them after a further dot. */
function settingFlags(argv: readonly string[]): Flags {
  const keys = configKeys();
  const free = keys.filter(({ schema }) => schema.safeParse({ any: "name" }).success).map(({ key }) => `${key}.`);
  const named = argv.flatMap((arg) => {
    const name = /^--([^=]+)/.exec(arg)?.[1] ?? "";
    return free.some((prefix) => name.startsWith(prefix)) ? [name] : [];
  });
  return Object.fromEntries([
    ...keys.map(({ key, schema, description: help }) => {
      const onOff = schema.safeParse(true).success && !schema.safeParse("true").success;
      return [key, onOff ? { onOff, help } : { value: "VALUE", help }];
    }),
    ...named.map((name) => [name, { value: "VALUE", help: "" }]),
  ]) as Flags;
}

async function runConfigured({ defaults = [], run }: ConfiguredCommand, args: Args) {
  const paths = [...args.all("config"), ...args.positionals];
  const typed = [...args.values].flatMap(([key, texts]) => (key.includes(".") ? [[key, texts.at(-1)!] as const] : []));
  const config = await loadConfig(files, paths.length > 0 ? paths : defaults, typedSettings(typed));
  return run(config, args);
}

const version = (): string =>
  (JSON.parse(readFileSync(shipped("package.json"), "utf8")) as { version: string }).version;

async function main([name, ...argv]: string[]): Promise<number | void> {
  if (name === "--help" || name === "-h" || name === "help") return print(overview());
  if (name === "--version" || name === "-v") return print(version());
  if (name === undefined) throw new UsageError("expected a command; see pith --help");
  const known = [...Object.keys(CONFIGURED), ...Object.keys(COMMANDS)];
  if (!known.includes(name))
    throw new UsageError(`unknown command ${name}; did you mean ${nearest(name, known)}? pith --help lists all`);
  const configured = CONFIGURED[name];
  const flags = configured ? { ...configured.flags, ...CONFIG_FLAG, ...settingFlags(argv) } : COMMANDS[name]!.flags;
  const args = readArgs(argv, { ...flags, ...HELP_FLAG });
  if (args.has("help")) return print(commandHelp(name));
  return configured ? runConfigured(configured, args) : COMMANDS[name]!.run(args);
}

async function fail(error: unknown): Promise<never> {
  if (readerGone.signal.aborted && error === readerGone.signal.reason) return finish(0); // nobody waits for the rest
  if (error instanceof PithError) {
    note(`pith: ${error.message}`);
    return finish(error.exitCode);
  }
  note(`pith: ${error instanceof Error ? error.stack : String(error)}`);
  return finish(1);
}

process.on("unhandledRejection", (error) => void fail(error));
try {
  await finish((await main(process.argv.slice(2))) ?? 0);
} catch (error) {
  await fail(error);
}
