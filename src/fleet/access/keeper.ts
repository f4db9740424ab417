import { jwtAuthenticator } from "@nats-io/nats-core";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { existsSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { PithError } from "../../errors.ts";
import { joinFleet, type Fleet } from "../connection.ts";
import { readToken } from "./jwt.ts";
import { makeUser, writePrivate, type Keys } from "./keys.ts";
import { accountToken, systemToken, systemUserToken } from "./roles.ts";

/** Where the trainer's side asks the keeper of the keys. */
const REVOKE = "keeper.revoke";
const FRONT = "keeper.front";
/** Milliseconds that it may take to answer. */
const PATIENCE = 10_000;
/** A guest's public key. */
const USER = /^U[A-Z2-7]{55}$/;
/** Hours of the longest invitation: a revoked one need not be remembered for longer. */
export const LONGEST_HOURS = 24;

const accountFile = (dir: string, keys: Keys): string => `${dir}/accounts/${keys.account.getPublicKey()}.jwt`;

/** Writes the accounts where the server looks for them; whoever was shut out stays so. */
export async function writeAccounts(dir: string, keys: Keys): Promise<void> {
  await mkdir(`${dir}/accounts`, { recursive: true });
  await writePrivate(`${dir}/accounts/${keys.system.getPublicKey()}.jwt`, systemToken(keys));
  await writePrivate(accountFile(dir, keys), accountToken(keys, await revokedOf(dir, keys)));
}

async function revokedOf(dir: string, keys: Keys): Promise<Record<string, number>> {
  const path = accountFile(dir, keys);
  const claims = existsSync(path) ? readToken(await readFile(path, "utf8")) : null;
  const kept = (claims?.["nats"] as { revocations?: Record<string, number> } | undefined)?.revocations ?? {};
  const since = Date.now() / 1000 - LONGEST_HOURS * 3600;
  return Object.fromEntries(Object.entries(kept).filter(([user, at]) => USER.test(user) && at > since));
}

/**
 * Keeps the keys of a server that has just started: makes the fleet's streams, and shuts out whom the trainer's side names. A guest
 * is shut out by a new token of the account, sent to the server: that ends the guest's connections, and nobody else's.
 */
export class Keeper {
  readonly #dir: string;
  readonly #keys: Keys;
  readonly #system: NatsConnection;
  readonly #fleet: Fleet;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(dir: string, keys: Keys, system: NatsConnection, fleet: Fleet) {
    this.#dir = dir;
    this.#keys = keys;
    this.#system = system;
    this.#fleet = fleet;
  }

  /** `url`: a trainer's; `front`: where the server takes WebSockets. */
  static async start(dir: string, keys: Keys, url: string, front: string): Promise<Keeper> {
    const user = makeUser();
    const authenticator = jwtAuthenticator(systemUserToken(keys, user), user.getSeed());
    const { host } = new URL(url.replace(/^nats:/, "http:"));
    const fleet = await joinFleet(url, "keeper");
    const again = { maxReconnectAttempts: -1, ignoreAuthErrorAbort: true };
    const system = await connect({ servers: host, name: "keeper", authenticator, ...again });
    const keeper = new Keeper(dir, keys, system, fleet);
    fleet.nc.subscribe(FRONT, { callback: (_error, message) => void message.respond(front) });
    fleet.nc.subscribe(REVOKE, {
      callback: (_error, message) => {
        keeper.#last = keeper.#last
          .then(() => keeper.#revoke(message.string()))
          .then(
            () => message.respond(""),
            (error: unknown) => message.respond((error as Error).message),
          );
      },
    });
    await fleet.nc.flush();
    return keeper;
  }

  async stop(): Promise<void> {
    await this.#last;
    await Promise.all([this.#system.close(), this.#fleet.nc.close()]);
  }

  async #revoke(user: string): Promise<void> {
    if (!USER.test(user)) throw new PithError(`expected a user's public key, got ${user.slice(0, 60)}`);
    const revoked = { ...(await revokedOf(this.#dir, this.#keys)), [user]: Math.floor(Date.now() / 1000) };
    const answer = await this.#system.request("$SYS.REQ.CLAIMS.UPDATE", accountToken(this.#keys, revoked), {
      timeout: PATIENCE,
    });
    const { error } = answer.json<{ error?: { description?: string } }>();
    if (error) throw new PithError(`the server did not take the account's token: ${error.description}`);
  }
}

/** Shuts a guest out, for good. */
export async function revoke({ nc }: Pick<Fleet, "nc">, guest: string): Promise<void> {
  const failed = (await nc.request(REVOKE, guest, { timeout: PATIENCE })).string();
  if (failed) throw new PithError(failed);
}

/** HOST:PORT of the server's WebSockets, on the machine that it runs on. */
export async function frontOf({ nc }: Pick<Fleet, "nc">): Promise<string> {
  try {
    return (await nc.request(FRONT, "", { timeout: PATIENCE })).string();
  } catch (error) {
    throw new PithError(
      `expected a server that pith fleet has started, got one that does not answer for it (${(error as Error).message}); a gate needs it to shut guests out`,
      { cause: error },
    );
  }
}
