import { engineSize, type EngineOptions } from "../engine/engine-size.ts";
import { countSamples, type GenerateRequest } from "../engine/llm.ts";
import type { SamplingParams } from "../engine/sampling-params.ts";
import { ConfigError, PithError } from "../errors.ts";
import type { Model } from "../model/model.ts";
import { addShare, type SamplerShare } from "../run/sampler-share.ts";
import type { Files } from "../runtime/types.ts";
import type { OnWarning } from "../train/micro-batches.ts";
import type { DrawnOutput } from "../train/drawn.ts";
import { drawnBy, type Drawing, type RolloutSource } from "../train/rollout-source.ts";
import type { RolloutHost } from "../train/rollouts.ts";
import type { Announcement } from "./announcement.ts";
import { collect } from "./collect.ts";
import { dropRun, dropTasks, groupSubject, GROUPS, makeTaskConsumer, untilTaken, type Fleet } from "./connection.ts";
import { Draw, SAMPLES_PER_TASK } from "./draw.ts";
import { kindOf, probe } from "./kind.ts";
import { FORMAT } from "./messages.ts";
import { isGate, listWorkers } from "./status.ts";
import { pruneWeights, publishWeights, type LocalVersion, type Weights } from "./weights.ts";

/** Versions whose weights and results stay at the server: a trainer that died has them again without anybody's work. */
const KEPT_VERSIONS = 2;
/** Milliseconds after which the wait for a worker is said again. */
const SAY = 60_000;

/** What the fleet did since the last reading, and how it stands. */
export interface FleetMetrics {
  "fleet/workers": number;
  /** Of them those that have the weights, and compute the trainer's bits with them. */
  "fleet/workers_same_kind": number;
  /** Share of their time that workers had no task in, by what they last said; left out where none has said anything new. */
  "fleet/worker_idle"?: number;
  /** Responses of guests, each drawn again by a gate before it counted. */
  "fleet/replayed": number;
  /** Results that were there already. */
  "fleet/duplicates": number;
  "fleet/refused": number;
  /** Tasks that were queued again. */
  "fleet/requeued": number;
  /** Seconds and bytes of publishing the policy. */
  "fleet/weights_seconds": number;
  "fleet/weights_bytes": number;
  /** Bytes of what changed in the policy, of all its bytes: what a worker fetches that has the version before. */
  "fleet/delta_ratio": number;
  /** Sampled tokens a second, from the first task's queueing to the last result. */
  "fleet/tokens_per_second": number;
}

const noMetrics = (): FleetMetrics => ({
  "fleet/workers": 0,
  "fleet/workers_same_kind": 0,
  "fleet/replayed": 0,
  "fleet/duplicates": 0,
  "fleet/refused": 0,
  "fleet/requeued": 0,
  "fleet/weights_seconds": 0,
  "fleet/weights_bytes": 0,
  "fleet/delta_ratio": 1,
  "fleet/tokens_per_second": 0,
});

export interface FleetSourceOptions {
  engine: EngineOptions;
  files: Files;
  /** For files on their way. */
  dir: string;
  /** Makes the reference, for workers to score by; null where nothing is scored, or a base is trained beside: then that is it. */
  openReference: (() => Promise<Model>) | null;
  onWarning: OnWarning;
}

/**
 * A fleet's workers draw. The policy goes out as files by their hashes, the requests as tasks; results come back keyed by what they
 * answer, and are held against it. What is lost on the way is queued again, and drawn to the same bytes.
 */
export class FleetSource implements RolloutSource {
  readonly #fleet: Fleet;
  readonly #run: string;
  readonly #model: Model;
  readonly #host: FleetSourceOptions;
  /** The last versions, and the draws that have ended. */
  readonly #announced: Announcement[] = [];
  readonly #ended: Draw[] = [];
  /** The last version, for what changes after it. */
  #published: LocalVersion | null = null;
  /** What trained adapters are beside, and who scores, once they are published. */
  #base: Weights | undefined;
  #reference: Weights | undefined;
  /** What was begun last, to its end. */
  #underWay: Drawing | null = null;
  /** Workers' words about their time, as they were last read. */
  #times = new Map<string, { up: number; busy: number }>();
  /** Optimizer steps of the last version. */
  #steps = -1;
  #begun = false;
  readonly #closed = new AbortController();
  #metrics = noMetrics();
  #shares = new Map<string, SamplerShare>();
  #said = 0;

  constructor(fleet: Fleet, run: string, model: Model, host: FleetSourceOptions) {
    this.#fleet = fleet;
    this.#run = run;
    this.#model = model;
    this.#host = host;
  }

  async begin(
    requests: readonly GenerateRequest[],
    params: SamplingParams,
    {
      signal,
      onProgress,
      steps,
      scored,
    }: Pick<RolloutHost, "signal" | "onProgress"> & {
      steps: number;
      scored: boolean;
    },
  ): Promise<Drawing> {
    if (params.stop?.length)
      throw new ConfigError("expected responses that end by tokens, got stop strings; workers have no tokenizer");
    if (steps !== this.#steps) {
      // Tasks of a version that is past are dropped: what is under way comes first.
      if (this.#underWay) await drawnBy(this.#underWay, signal);
      await this.#announce(signal);
    }
    this.#steps = steps;
    const announced = this.#announced.at(-1)!;
    this.#requireRoom(announced, params);
    const reference = scored ? (announced.reference?.weights ?? null) : null;
    const draw = new Draw(requests, params, { ...announced, reference, vocabSize: this.#model.config.vocabSize });
    await untilTaken(async () => {
      await makeTaskConsumer(this.#fleet, this.#run);
      if (!this.#begun) await dropTasks(this.#fleet, this.#run); // of a trainer that died: what is needed is queued anew
    }, signal);
    this.#begun = true;
    const outputs = this.#collect(draw, countSamples(requests, params), onProgress);
    outputs.catch(() => {}); // whoever awaits them hears of it
    this.#underWay = { outputs };
    return { outputs };
  }

  /** What happened since the last call. */
  takeMetrics(): FleetMetrics {
    const metrics = this.#metrics;
    this.#metrics = noMetrics();
    return metrics;
  }

  /** Who drew what since the last call. */
  takeShares(): SamplerShare[] {
    const shares = this.#shares;
    this.#shares = new Map();
    return [...shares.values()];
  }

  /** Leaves the fleet; `done` where the run has come to its end, and nothing of it is wanted any more. */
  async close({ done }: { done: boolean }): Promise<void> {
    this.#closed.abort(new PithError("the run has left the fleet"));
    try {
      await this.#host.files.remove(this.#host.dir);
      if (!done) return;
      await dropRun(this.#fleet, this.#run);
      await pruneWeights(this.#fleet, this.#run, []);
    } catch {
      // the server is away: what is left there ages out, or is the next run's to take
    } finally {
      await this.#fleet.nc.close();
    }
  }

  /** Publishes the policy as it is. */
  async #announce(signal: AbortSignal | undefined): Promise<void> {
    const start = performance.now();
    const model = this.#model;
    const { engine, files, dir, openReference } = this.#host;
    const { maxModelLen, blockSize, maxNumSeqs } = engineSize(model, engine);
    if (model.base) this.#base ??= await this.#publishFrozen("base", model.base, signal);
    else if (openReference && !this.#reference) {
      const reference = await openReference();
      try {
        this.#reference = await this.#publishFrozen("reference", reference, signal);
      } finally {
        reference.dispose();
      }
    }
    const reference = this.#base ?? this.#reference;
    const publish = () =>
      publishWeights(this.#fleet, this.#run, model, files, dir, { before: this.#published, base: this.#base });
    const { dir: own, ...version } = await untilTaken(publish, signal);
    this.#published = { dir: own, files: version.files };
    const announced: Announcement = {
      format: FORMAT,
      ...version,
      ...(reference && { reference }),
      dtype: model.dtype,
      maxModelLen,
      engine: { blockSize, maxNumSeqs, kvCacheBytes: engine.kvCacheBytes },
      kind: await kindOf(await probe(model)),
    };
    await untilTaken(() => this.#fleet.runs.put(this.#run, JSON.stringify(announced)), signal);
    if (this.#announced.at(-1)?.weights !== announced.weights) this.#announced.push(announced);
    while (this.#announced.length > KEPT_VERSIONS) this.#announced.shift();
    await pruneWeights(this.#fleet, this.#run, this.#announced).catch(() => {}); // the next time does it
    this.#metrics["fleet/weights_seconds"] += (performance.now() - start) / 1000;
    const bytes = bytesOf(announced);
    const changed = announced.files.reduce((sum, file) => sum + (file.delta?.bytes ?? file.bytes), 0);
    this.#metrics["fleet/weights_bytes"] += bytes;
    this.#metrics["fleet/delta_ratio"] = changed / bytes;
  }

  /** Publishes a model that no update changes. */
  async #publishFrozen(name: string, model: Model, signal: AbortSignal | undefined): Promise<Weights> {
    const { files, dir } = this.#host;
    const publish = () => publishWeights(this.#fleet, this.#run, model, files, `${dir}/${name}`);
    const { weights, files: listed } = await untilTaken(publish, signal);
    this.#metrics["fleet/weights_bytes"] += bytesOf({ files: listed });
    return { weights, files: listed };
  }

  /** @throws PithError where the server would not take the longest result */
  #requireRoom({ maxModelLen }: Announcement, { maxTokens, n }: SamplingParams): void {
    const most = 4096 + 12 * Math.min(n, SAMPLES_PER_TASK) * Math.min(maxTokens, maxModelLen);
    const limit = this.#fleet.nc.info?.max_payload ?? Infinity;
    if (most <= limit) return;
    throw new PithError(
      `expected a server that takes messages of ${most} bytes, the longest result, got one that takes ${limit}; raise max_payload in its configuration`,
    );
  }

  /** Removes the results of what versions before the last drew. */
  async #keepLast(draw: Draw): Promise<void> {
    this.#ended.push(draw);
    const isKept = ({ weights }: Draw) => this.#announced.some((version) => version.weights === weights);
    while (!isKept(this.#ended[0]!)) {
      const filter = groupSubject(this.#run, "*", this.#ended.shift()!.id);
      await this.#fleet.jsm.streams.purge(GROUPS, { filter }).catch(() => {}); // they age out otherwise
    }
  }

  async #collect(draw: Draw, total: number, onProgress: RolloutHost["onProgress"]): Promise<DrawnOutput[]> {
    const start = performance.now();
    this.#said = start;
    const host = {
      onNew: () => onProgress?.(draw.finished, total),
      onDuplicate: () => void this.#metrics["fleet/duplicates"]++,
      onRequeued: (count: number) => void (this.#metrics["fleet/requeued"] += count),
      onRefused: (worker: string, why: string) => {
        if (this.#metrics["fleet/refused"]++ === 0)
          this.#host.onWarning(`refused a result of worker ${worker}, which is drawn again: ${why}`);
      },
      onWaiting: () => void this.#sayIfAlone(draw),
    };
    const outputs = await collect(this.#fleet, this.#run, draw, host, this.#closed.signal);
    const drawn = draw.byWorker();
    const tokens = drawn.values().reduce((sum, share) => sum + share.tokens, 0);
    await this.#keepLast(draw);
    const workers = (await this.#workers()) ?? [];
    this.#metrics["fleet/workers"] = workers.length;
    this.#metrics["fleet/workers_same_kind"] = workers.filter(({ kind }) => kind === draw.kind).length;
    this.#noteIdle(workers.filter(({ id }) => !isGate(id)));
    this.#metrics["fleet/tokens_per_second"] = tokens / ((performance.now() - start) / 1000);
    for (const [worker, share] of drawn) {
      if (isGate(worker)) this.#metrics["fleet/replayed"] += share.responses;
      const adapter = workers.find(({ id }) => id === worker)?.adapter ?? null;
      addShare(this.#shares, { worker, adapter, ...share });
    }
    return outputs;
  }

  #noteIdle(workers: readonly { id: string; up: number; busy: number }[]): void {
    // One that is new says how long it waited for this run, which is no idleness of the run's.
    const spans = workers.flatMap(({ id, up, busy }) => {
      const before = this.#times.get(id);
      return before ? [{ up: up - before.up, busy: busy - before.busy }] : [];
    });
    const sum = (part: "up" | "busy") => spans.reduce((total, span) => total + span[part], 0);
    if (sum("up") > 0) this.#metrics["fleet/worker_idle"] = 1 - sum("busy") / sum("up");
    this.#times = new Map(workers.map(({ id, up, busy }) => [id, { up, busy }]));
  }

  /** null where the server is away. */
  #workers() {
    return listWorkers(this.#fleet, this.#run).catch(() => null);
  }

  async #sayIfAlone(draw: Draw): Promise<void> {
    if (performance.now() - this.#said < SAY) return;
    this.#said = performance.now();
    const workers = await this.#workers();
    const server = this.#fleet.nc.getServer();
    if (workers === null) this.#host.onWarning(`the fleet's server ${server} does not answer; goes on when it is back`);
    else if (workers.length === 0)
      this.#host.onWarning(
        `heard of no worker for ${draw.missing.length} tasks; start some: pith worker --fleet nats://${server}`,
      );
  }
}

const bytesOf = ({ files }: Pick<Weights, "files">): number => files.reduce((sum, { bytes }) => sum + bytes, 0);
