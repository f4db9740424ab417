import { PithError } from "../../errors.ts";

/** What a link holds after its #: a token, and the seed of the key that it is about. */
export interface Invitation {
  token: string;
  seed: string;
  /** The guest's public key. */
  id: string;
  /** Milliseconds since 1970. */
  ends: number;
}

/** @throws PithError where the text is no invitation */
export function readInvitation(text: string): Invitation {
  const parts = text.replace(/^#/, "").split(".");
  const refuse = () =>
    new PithError("expected a link that pith fleet invite has printed, whole, got another or a part");
  if (parts.length !== 4 || !/^SU[A-Z2-7]{56}$/.test(parts[3]!)) throw refuse();
  try {
    const claims = JSON.parse(atob(parts[1]!.replaceAll("-", "+").replaceAll("_", "/"))) as {
      sub: string;
      exp: number;
    };
    if (!/^U[A-Z2-7]{55}$/.test(claims.sub) || !Number.isFinite(claims.exp)) throw refuse();
    return { token: parts.slice(0, 3).join("."), seed: parts[3]!, id: claims.sub, ends: 1000 * claims.exp };
  } catch {
    throw refuse();
  }
}
