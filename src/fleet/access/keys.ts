import { createAccount, createOperator, createUser, fromSeed, type KeyPair } from "@nats-io/nkeys";
import { existsSync } from "node:fs";
import { chmod, readFile, writeFile } from "node:fs/promises";
import { FormatError } from "../../errors.ts";

/** Who signs: the operator for accounts, an account or one of the keys that it lists for users. */
const MAKERS = {
  operator: createOperator,
  system: createAccount,
  account: createAccount,
  trainer: createAccount,
  worker: createAccount,
  guest: createAccount,
} as const;

/** A server's keys; the last three sign users of their role: roles.ts. */
export type Keys = Readonly<Record<keyof typeof MAKERS, KeyPair>>;

/**
 * The keys of the server in `dir`, made when there are none. The same folder keeps the same, so what was handed out holds.
 *
 * @throws FormatError where the file does not have them
 */
export async function keptKeys(dir: string): Promise<Keys> {
  const path = `${dir}/keys.json`;
  const names = Object.keys(MAKERS) as (keyof Keys)[];
  if (!existsSync(path)) {
    const made = names.map((name) => [name, MAKERS[name]()] as const);
    const seeds = made.map(([name, key]) => [name, seedOf(key)] as const);
    await writePrivate(path, `${JSON.stringify(Object.fromEntries(seeds), null, 2)}\n`);
    return Object.fromEntries(made) as Record<keyof Keys, KeyPair>;
  }
  return readKeys(dir);
}

/** @throws FormatError where there are none */
export async function readKeys(dir: string): Promise<Keys> {
  const path = `${dir}/keys.json`;
  try {
    const seeds = JSON.parse(await readFile(path, "utf8")) as Record<string, string>;
    const names = Object.keys(MAKERS) as (keyof Keys)[];
    const keys = names.map((name) => [name, keyOf(seeds[name]!)] as const);
    return Object.fromEntries(keys) as Record<keyof Keys, KeyPair>;
  } catch (error) {
    throw new FormatError(
      `${path}: expected the keys that pith fleet writes there, got: ${(error as Error).message}; start pith fleet with this folder`,
      { cause: error },
    );
  }
}

export const makeUser = createUser;
export const keyOf = (seed: string): KeyPair => fromSeed(new TextEncoder().encode(seed));
export const seedOf = (key: KeyPair): string => new TextDecoder().decode(key.getSeed());

/** For its owner's eyes alone. */
export async function writePrivate(path: string, text: string): Promise<void> {
  await writeFile(path, text, { mode: 0o600 });
  await chmod(path, 0o600);
}
