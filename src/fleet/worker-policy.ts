import { engineSize, shareOfEngine } from "../engine/engine-size.ts";
import { LLM } from "../engine/llm.ts";
import { ConfigError, OutOfMemoryError } from "../errors.ts";
import type { Gpu } from "../gpu/gpu.ts";
import { LoraModel } from "../model/lora.ts";
import { Model } from "../model/model.ts";
import type { Files } from "../runtime/types.ts";
import type { Announcement, Policy } from "./announcement.ts";
import { kindOf, probe, type Probe } from "./kind.ts";
import type { Result, Task } from "./messages.ts";
import { Scorer } from "./scorer.ts";
import type { LocalVersion, Weights } from "./weights.ts";

/** Versions whose files stay on the disk, for the machine's other workers. */
const KEPT_VERSIONS = 2;

/** Brings a version's files into a folder, by what changed since `before` where that is less; returns the folder. */
export type FetchVersion = (run: string, weights: Weights, before: LocalVersion | null) => Promise<string>;

/** Guests hear of no reference. */
type Announced = Policy & Pick<Announcement, "reference">;

/** A model that stays on the device from version to version. */
interface Frozen {
  model: Model;
  /** Its weights and dtype. */
  of: string;
  dir: string;
}

/** The policy that a worker, a gate or a guest has on its device, the engine that samples from it, and the reference. */
export class WorkerPolicy {
  readonly #gpu: Gpu;
  readonly #files: Files;
  readonly #fetch: FetchVersion;
  readonly #dirs: string[] = [];
  #dir: string | null = null;
  #announced: Announced | null = null;
  #model: Model | null = null;
  /** What the model is an adapter beside, and who scores; the base may do both. */
  readonly #frozen: Record<"base" | "reference", Frozen | null> = { base: null, reference: null };
  #llm: LLM | null = null;
  #probe: Probe | null = null;
  #kind: string | null = null;
  #scorer: Scorer | null = null;
  /** Sequences at once, where memory has run out with more. */
  #most = Infinity;

  constructor(gpu: Gpu, { files, fetch }: { files: Files; fetch: FetchVersion }) {
    this.#gpu = gpu;
    this.#files = files;
    this.#fetch = fetch;
  }

  /** What is loaded. */
  get announced(): Announced | null {
    return this.#announced;
  }

  /** SHA-256 of what is loaded. */
  get weights(): string | null {
    return this.#announced?.weights ?? null;
  }

  /** What this adapter makes of the probe under these weights. */
  get probe(): Probe {
    if (!this.#probe) throw new Error("expected a policy that is loaded");
    return this.#probe;
  }

  /** Of this adapter under these weights. */
  get kind(): string | null {
    return this.#kind;
  }

  /** Where its file of this SHA-256 is; null where it has none such. */
  fileOf(sha256: string): string | null {
    const versions = [
      { dir: this.#dir, files: this.#announced?.files ?? [] },
      { dir: this.#frozen.base?.dir ?? null, files: this.#announced?.base?.files ?? [] },
    ];
    for (const { dir, files } of versions) {
      const file = files.find((one) => one.sha256 === sha256);
      if (file && dir !== null) return `${dir}/${file.name}`;
    }
    return null;
  }

  get model(): Model {
    if (!this.#model) throw new Error("expected a policy that is loaded");
    return this.#model;
  }

  /** Samples from it; made when it is first asked for. */
  get llm(): LLM {
    return (this.#llm ??= this.#makeEngine());
  }

  /**
   * The samples of a task as they are sent: with the reference's log-probabilities where the task asks for them.
   *
   * @throws ConfigError where it names another reference than the announced one
   */
  async score(task: Task, samples: Result["outputs"]): Promise<Result["outputs"]> {
    if (task.reference === null) return samples;
    const reference = this.#announced?.reference?.weights;
    if (task.reference !== reference || !this.#scorer)
      throw new ConfigError(`expected the reference ${reference ?? "of no run"}, got ${task.reference}`);
    return this.#scorer.score(task, samples);
  }

  /** Takes the announced policy onto the device; nothing may be sampled meanwhile. */
  async load(run: string, announced: Announced): Promise<void> {
    if (JSON.stringify(announced) === JSON.stringify(this.#announced)) return;
    if (announced.weights !== this.weights) {
      const before = this.#announced && { dir: this.#dir!, files: this.#announced.files };
      const dir = await this.#fetch(run, announced, before);
      this.#release();
      const base = await this.#takeFrozen("base", run, announced);
      this.#model = base
        ? await LoraModel.loadAdapter(base, this.#files, dir)
        : await Model.load(this.#gpu, this.#files, dir, { dtype: announced.dtype });
      this.#probe = await probe(this.#model);
      this.#kind = await kindOf(this.#probe);
      this.#dir = dir;
      if (!this.#dirs.includes(dir)) this.#dirs.push(dir);
      while (this.#dirs.length > KEPT_VERSIONS) await this.#files.remove(this.#dirs.shift()!);
    }
    const { base, reference, dtype } = announced;
    const isBase = base !== undefined && reference?.weights === base.weights;
    const own = await this.#takeFrozen("reference", run, isBase ? { dtype } : announced);
    const scores = isBase ? this.#frozen.base!.model : own;
    if (this.#scorer?.reference !== scores) this.#scorer = scores && new Scorer(scores);
    this.#announced = announced;
    this.#llm?.dispose();
    this.#llm = null;
  }

  /**
   * Half the sequences at once from now on, for memory ran out; nothing may be sampled meanwhile.
   *
   * @throws OutOfMemoryError where one alone was too much
   */
  async shrink(cause: OutOfMemoryError): Promise<number> {
    const tried = this.llm.maxNumSeqs;
    if (tried === 1) throw cause;
    this.#most = Math.floor(tried / 2);
    this.#llm?.dispose();
    this.#llm = null;
    await this.#gpu.trim();
    return this.#most;
  }

  dispose(): void {
    this.#release();
    for (const which of ["base", "reference"] as const) {
      this.#frozen[which]?.model.dispose();
      this.#frozen[which] = null;
    }
    this.#scorer = null;
  }

  /** What is loaded, but for what no update changes. */
  #release(): void {
    this.#llm?.dispose();
    this.#model?.dispose();
    this.#llm = this.#model = this.#announced = this.#probe = this.#kind = null;
  }

  /** The announced base or reference, null where there is none; another's goes. */
  async #takeFrozen(
    which: "base" | "reference",
    run: string,
    { dtype, [which]: announced }: Pick<Announced, "dtype" | "base" | "reference">,
  ): Promise<Model | null> {
    const of = announced ? `${announced.weights} ${dtype}` : null;
    const before = this.#frozen[which];
    if (before && before.of !== of) {
      this.#frozen[which] = null;
      before.model.dispose();
      await this.#files.remove(before.dir);
    }
    if (!announced) return null;
    if (!this.#frozen[which]) {
      const dir = await this.#fetch(run, announced, null);
      this.#frozen[which] = { model: await Model.load(this.#gpu, this.#files, dir, { dtype }), of: of!, dir };
    }
    return this.#frozen[which].model;
  }

  #makeEngine(): LLM {
    const { engine, maxModelLen } = this.#announced!;
    const full = engineSize(this.model, { ...engine, maxModelLen });
    const maxNumSeqs = Math.min(full.maxNumSeqs, this.#most);
    return new LLM(this.model, shareOfEngine(this.model, full, maxNumSeqs));
  }
}
