import type { KeyPair } from "@nats-io/nkeys";
import { signToken } from "./jwt.ts";
import type { Keys } from "./keys.ts";
import { GATE, GUEST } from "./subjects.ts";

/** Bytes of a guest's message: a task's two samples of 65,000 tokens. */
export const GUEST_PAYLOAD = 2 ** 20;
/** Subscriptions of a guest: the client takes one for all answers. */
const GUEST_SUBSCRIPTIONS = 4;

const UNLIMITED = { subs: -1, data: -1, payload: -1 };
const ACCOUNT = { ...UNLIMITED, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 };
const STORAGE = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };

/** Reading the buckets and the weights: their streams' settings, messages by key, and consumers that deliver what is there. */
const READ = ["KV_runs", "KV_workers", "OBJ_weights"].flatMap((stream) => [
  `$JS.API.STREAM.INFO.${stream}`,
  `$JS.API.STREAM.MSG.GET.${stream}`,
  `$JS.API.DIRECT.GET.${stream}`,
  `$JS.API.DIRECT.GET.${stream}.>`,
  `$JS.API.CONSUMER.CREATE.${stream}`,
  `$JS.API.CONSUMER.CREATE.${stream}.>`,
  `$JS.API.CONSUMER.INFO.${stream}.*`,
  `$JS.API.CONSUMER.MSG.NEXT.${stream}.*`,
  `$JS.API.CONSUMER.DELETE.${stream}.*`,
]);

/** What each role may do; the server fills in a user's name. */
const ROLES = {
  /** Everything that is the fleet's: trainers, gates, and whoever looks after it. */
  trainer: UNLIMITED,
  /** Takes tasks and sends what they came to, in its own name. */
  worker: {
    ...UNLIMITED,
    pub: {
      allow: [
        "$JS.API.INFO",
        "$JS.API.STREAM.INFO.TASKS",
        "$JS.API.STREAM.INFO.GROUPS",
        "$JS.API.CONSUMER.INFO.TASKS.*",
        "$JS.API.CONSUMER.MSG.NEXT.TASKS.*",
        "$JS.ACK.TASKS.>",
        "$JS.FC.>",
        "groups.*.{{name()}}.*",
        "$KV.workers.*.{{name()}}",
        ...READ,
      ],
    },
    sub: { allow: ["_INBOX.>"] },
  },
} as const;

/**
 * A stranger: asks the gate, and hears its answers. Nothing of JetStream, whose requests name where answers go. This is in the guest's
 * own token, for a template's connection types are not held to by nats-server 2.9.
 */
const guestRights = (id: string) => ({
  subs: GUEST_SUBSCRIPTIONS,
  data: -1,
  payload: GUEST_PAYLOAD,
  pub: { allow: [`${GATE}.${id}.>`] },
  sub: { allow: [`${GUEST}.${id}.>`] },
  allowed_connection_types: ["WEBSOCKET"],
});

type Role = keyof typeof ROLES;

/** The operator's own token: what the server believes. */
export const operatorToken = ({ operator, system }: Keys): string =>
  signToken(operator, {
    sub: operator.getPublicKey(),
    name: "pith",
    nats: { type: "operator", system_account: system.getPublicKey() },
  });

export const systemToken = ({ operator, system }: Keys): string =>
  signToken(operator, {
    sub: system.getPublicKey(),
    name: "SYS",
    nats: { type: "account", limits: ACCOUNT },
  });

/** The fleet's account; `revoked`: users' public keys and the second since 1970 until which they were let in. */
export const accountToken = (keys: Keys, revoked: Readonly<Record<string, number>>): string =>
  signToken(keys.operator, {
    sub: keys.account.getPublicKey(),
    name: "fleet",
    nats: {
      type: "account",
      limits: { ...ACCOUNT, ...STORAGE },
      signing_keys: [
        ...Object.entries(ROLES).map(([role, template]) => ({
          kind: "user_scope",
          key: keys[role as Role].getPublicKey(),
          role,
          template,
        })),
        keys.guest.getPublicKey(),
      ],
      revocations: revoked,
    },
  });

/** A user's token, with what the role of the `signer` may do. */
export const userToken = (signer: KeyPair, account: string, user: KeyPair, name: string): string =>
  signToken(signer, { sub: user.getPublicKey(), name, nats: { type: "user", issuer_account: account } });

/** A guest's token; `exp` in seconds since 1970. */
export function guestToken(signer: KeyPair, account: string, user: KeyPair, exp: number): string {
  const id = user.getPublicKey();
  const nats = { type: "user", issuer_account: account, ...guestRights(id) } as const;
  return signToken(signer, { sub: id, name: "guest", exp, nats });
}

/** One who may change accounts. */
export const systemUserToken = ({ system }: Keys, user: KeyPair): string =>
  signToken(system, { sub: user.getPublicKey(), name: "keeper", nats: { type: "user", ...UNLIMITED } });
