import { LONGEST_HOURS } from "./keeper.ts";
import { makeUser, seedOf, type Keys } from "./keys.ts";
import { guestToken } from "./roles.ts";
import { UsageError } from "../../errors.ts";

/**
 * What lets one browser in for so many hours, as the part of a link after the #, which a browser sends to nobody: a token and the
 * seed of the key that it is about.
 */
export function makeInvitation(keys: Keys, hours: number): string {
  if (hours > LONGEST_HOURS)
    throw new UsageError(`--hours: expected at most ${LONGEST_HOURS}, got ${hours}; invite anew when they are over`);
  const user = makeUser();
  const ends = Math.floor(Date.now() / 1000 + hours * 3600);
  const token = guestToken(keys.guest, keys.account.getPublicKey(), user, ends);
  return `${token}.${seedOf(user)}`;
}
