import {
  AckPolicy,
  DiscardPolicy,
  jetstream,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
  type ConsumerInfo,
  type JetStreamClient,
  type JetStreamManager,
} from "@nats-io/jetstream";
import { Kvm, type KV } from "@nats-io/kv";
import { errors, jwtAuthenticator } from "@nats-io/nats-core";
import { Objm, setSha256Backend, type ObjectStore } from "@nats-io/obj";
import { connect, nanos, type ConnectionOptions, type NatsConnection } from "@nats-io/transport-node";
import { setTimeout as sleep } from "node:timers/promises";
import { ConfigError, PithError } from "../errors.ts";
import { keyOf, makeUser } from "./access/keys.ts";
import { userToken } from "./access/roles.ts";

/** Streams and buckets of a fleet, made by pith fleet, or by the first trainer at a server of another's. */
const TASKS = "TASKS";
export const GROUPS = "GROUPS";
const RUNS = "runs";
const WORKERS = "workers";
const WEIGHTS = "weights";

/** Milliseconds after which a task is another worker's, unless its own says that it goes on. */
const ACK_WAIT = 30_000;
/** Of one task, before it is left alone. */
const MAX_DELIVER = 5;
/** Milliseconds that a worker's word about itself holds. */
export const WORKER_TTL = 30_000;
/** Results that nobody came back for. */
const KEPT_MS = 7 * 24 * 3600 * 1000;
/** Milliseconds between tries of what the server did not take. */
const RETRY = 1000;
/** Milliseconds that a server may be away from who joins. */
const AWAY = 8000;

export const taskSubject = (run: string): string => `tasks.${run}`;
/** By its last part the trainer reads, and removes, what belongs together. */
export const groupSubject = (run: string, worker: string, draw: string): string => `groups.${run}.${worker}.${draw}`;

/** A connection with what a fleet keeps at the server. */
export interface Fleet {
  nc: NatsConnection;
  js: JetStreamClient;
  jsm: JetStreamManager;
  runs: KV;
  workers: KV;
  weights: ObjectStore;
}

/**
 * Joins the fleet whose server is at `url`: as pith fleet prints it, or nats://host:4222, nats://TOKEN@host:4222,
 * nats://user:password@host:4222, or tls://. A connection that is lost comes back by itself, however long that takes.
 *
 * `name`: a word, by which a worker's rights go. One that is away is given a moment, for it may be starting again.
 *
 * @throws PithError where the server cannot be reached or has no JetStream
 */
export async function joinFleet(url: string, name: string): Promise<Fleet> {
  setSha256Backend("native");
  const server = serverOf(url, name);
  const begun = performance.now();
  for (;;) {
    try {
      return await joinOnce(server, name);
    } catch (error) {
      if (!isAway((error as Error).cause) || performance.now() - begun > AWAY) throw error;
      await sleep(RETRY);
    }
  }
}

/** A server that is away, or so busy that signing in timed out. */
const isAway = (error: unknown): boolean =>
  (error instanceof errors.AuthorizationError && /timeout/i.test(error.message)) ||
  [errors.ConnectionError, errors.ClosedConnectionError, errors.TimeoutError, errors.RequestError].some(
    (kind) => error instanceof kind,
  );

async function joinOnce({ servers, ...login }: ReturnType<typeof serverOf>, name: string): Promise<Fleet> {
  let nc: NatsConnection;
  try {
    nc = await connect({
      servers,
      name,
      ...login,
      maxReconnectAttempts: -1,
      ignoreAuthErrorAbort: true, // one that has signed in once is let in again
      pingInterval: 5000,
      maxPingOut: 2,
    });
  } catch (error) {
    throw new PithError(
      `expected a NATS server at ${servers}, got: ${(error as Error).message}; start one with pith fleet`,
      { cause: error },
    );
  }
  try {
    const js = jetstream(nc);
    const jsm = await jetstreamManager(nc);
    if (!(await isMade(jsm))) await makeAll(js, jsm);
    const kv = new Kvm(js);
    return {
      nc,
      js,
      jsm,
      runs: await kv.open(RUNS),
      workers: await kv.open(WORKERS),
      weights: await new Objm(js).open(WEIGHTS),
    };
  } catch (error) {
    await nc.close();
    throw new PithError(
      `${servers}: expected JetStream there and leave to use it, got: ${(error as Error).message}; pith fleet starts a server that has it`,
      { cause: error },
    );
  }
}

/** A key that signs users, as pith fleet writes it into a URL. */
const SIGNER = /^SA[A-Z2-7]{56}$/;

function serverOf(url: string, name: string): Omit<ConnectionOptions, "servers"> & { servers: string } {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (!parsed || !["nats:", "tls:"].includes(parsed.protocol) || parsed.hostname === "")
    throw new ConfigError(`--fleet: expected a URL such as nats://localhost:4222, got ${url}`);
  const [user, pass] = [decodeURIComponent(parsed.username), decodeURIComponent(parsed.password)];
  const login = () => {
    if (SIGNER.test(pass)) return signedIn(user, pass, name);
    return pass !== "" ? { user, pass } : user !== "" ? { token: user } : {};
  };
  return {
    servers: `${parsed.hostname}:${parsed.port || "4222"}`,
    ...login(),
    ...(parsed.protocol === "tls:" ? { tls: {} } : {}),
  };
}

/** A user of its own, made with the key of its role. */
function signedIn(account: string, signer: string, name: string): Pick<ConnectionOptions, "authenticator"> {
  const user = makeUser();
  return { authenticator: jwtAuthenticator(userToken(keyOf(signer), account, user, name), user.getSeed()) };
}

/** Whether all is there that a fleet keeps. */
const isMade = ({ streams }: JetStreamManager): Promise<boolean> =>
  Promise.all([TASKS, GROUPS, `KV_${RUNS}`, `KV_${WORKERS}`, `OBJ_${WEIGHTS}`].map((name) => streams.info(name))).then(
    () => true,
    () => false,
  );

async function makeAll(js: JetStreamClient, { streams }: JetStreamManager): Promise<void> {
  await streams.add({
    name: TASKS,
    subjects: ["tasks.*"],
    retention: RetentionPolicy.Workqueue,
    storage: StorageType.File,
    discard: DiscardPolicy.New,
  });
  await streams.add({
    name: GROUPS,
    subjects: ["groups.*.*.*"],
    retention: RetentionPolicy.Limits,
    storage: StorageType.File,
    discard: DiscardPolicy.New,
    max_age: nanos(KEPT_MS),
    allow_direct: true,
  });
  const kv = new Kvm(js);
  await kv.create(RUNS, { history: 1 });
  await kv.create(WORKERS, { history: 1, ttl: WORKER_TTL }); // a server that starts again has it still
  await new Objm(js).create(WEIGHTS);
}

/**
 * A bucket's keys that match `filter`, those of workers that left in the last half minute among them. The stream is asked: each time that
 * the client's own kv.keys() is, a consumer stays at the server for minutes.
 */
export async function keysOf({ jsm }: Pick<Fleet, "jsm">, bucket: "runs" | "workers", filter = ">"): Promise<string[]> {
  const prefix = `$KV.${bucket}.`;
  const { state } = await jsm.streams.info(`KV_${bucket}`, { subjects_filter: prefix + filter });
  return Object.keys(state.subjects ?? {}).map((subject) => subject.slice(prefix.length));
}

const consumerName = (run: string): string => `workers-${run}`;

/** Where the run's workers take their tasks. One that is there keeps its settings. */
export async function makeTaskConsumer({ jsm }: Fleet, run: string): Promise<ConsumerInfo> {
  const info = await taskConsumer({ jsm }, run);
  if (info) return info;
  return jsm.consumers.add(TASKS, {
    durable_name: consumerName(run),
    filter_subject: taskSubject(run),
    ack_policy: AckPolicy.Explicit,
    ack_wait: nanos(ACK_WAIT),
    max_deliver: MAX_DELIVER,
    max_ack_pending: -1,
  });
}

/** What the run's queue holds; null where there is none. */
export const taskConsumer = ({ jsm }: Pick<Fleet, "jsm">, run: string): Promise<ConsumerInfo | null> =>
  jsm.consumers.info(TASKS, consumerName(run)).catch(() => null);

export const takeTasks = ({ js }: Fleet, run: string) => js.consumers.get(TASKS, consumerName(run));

/** Removes the run's tasks that nobody has taken. */
export async function dropTasks({ jsm }: Fleet, run: string): Promise<void> {
  await jsm.streams.purge(TASKS, { filter: taskSubject(run) });
}

/** Removes the run's tasks and results, and the consumer. */
export async function dropRun(fleet: Fleet, run: string): Promise<void> {
  await dropTasks(fleet, run);
  await fleet.jsm.consumers.delete(TASKS, consumerName(run)).catch(() => false);
  await fleet.jsm.streams.purge(GROUPS, { filter: groupSubject(run, "*", "*") });
  await fleet.jsm.streams.purge(`KV_${RUNS}`, { filter: `$KV.${RUNS}.${run}` }); // wholly: of runs.purge() a key stays
}

/** Until the server takes it: what fails is tried again for ever, for the server may be away for as long. */
export async function untilTaken<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  for (;;) {
    signal?.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      if (error instanceof PithError) throw error;
      await sleep(RETRY, undefined, { signal }).catch(() => {});
    }
  }
}
