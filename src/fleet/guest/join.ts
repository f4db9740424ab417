import { jwtAuthenticator, wsconnect, type NatsConnection } from "@nats-io/nats-core";
import { GUEST } from "../access/subjects.ts";
import type { Invitation } from "./invitation.ts";

/** Joins the fleet behind the gate at `origin`, such as https://lab.example. A connection that is lost comes back by itself. */
export function joinAsGuest({ token, seed, id }: Invitation, origin: string): Promise<NatsConnection> {
  return wsconnect({
    servers: `${origin.replace(/^http/, "ws")}/nats`,
    authenticator: jwtAuthenticator(token, new TextEncoder().encode(seed)),
    inboxPrefix: `${GUEST}.${id}`,
    ignoreClusterUpdates: true,
    maxReconnectAttempts: -1,
    pingInterval: 5000,
    maxPingOut: 2,
  });
}
