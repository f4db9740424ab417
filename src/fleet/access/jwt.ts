import { type KeyPair } from "@nats-io/nkeys";
import { createHash } from "node:crypto";

/** What a NATS server reads of a token, `nats` by what it is for. */
export interface Claims {
  /** Public key of whom it is about. */
  sub: string;
  name: string;
  /** Seconds since 1970 after which it is worth nothing; never where it is left out. */
  exp?: number;
  nats: { type: "operator" | "account" | "user" } & Readonly<Record<string, unknown>>;
}

const text = new TextEncoder();
const base64 = (data: string | Uint8Array): string => Buffer.from(data).toString("base64url");

/** A token in the form of nats-io/jwt v2, signed by `key`. */
export function signToken(key: KeyPair, claims: Claims): string {
  const issued = { ...claims, iss: key.getPublicKey(), iat: Math.floor(Date.now() / 1000) };
  const nats = { ...claims.nats, version: 2 };
  const jti = createHash("sha256").update(JSON.stringify(issued)).digest("hex");
  const head = base64(JSON.stringify({ typ: "JWT", alg: "ed25519-nkey" }));
  const signed = `${head}.${base64(JSON.stringify({ ...issued, nats, jti }))}`;
  return `${signed}.${base64(key.sign(text.encode(signed)))}`;
}

/** What a token says, its signature not looked at; null where it is none. */
export function readToken(token: string): Record<string, unknown> | null {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString("utf8"));
    return typeof claims === "object" && claims !== null ? (claims as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}
