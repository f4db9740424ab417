import { createHash } from "node:crypto";
import type { GenerateRequest } from "../engine/llm.ts";
import type { SamplingParams } from "../engine/sampling-params.ts";
import { PithError } from "../errors.ts";
import type { DrawnOutput } from "../train/drawn.ts";
import { checkResult, completionsOf, decodeResult, type Result, type Task } from "./messages.ts";

/** Samples of a prompt that are one task: a worker holds many, and the longest hold up few others. */
export const SAMPLES_PER_TASK = 2;

/** What the trainer knows besides the tasks. */
export interface DrawContext {
  weights: string;
  /** Who scores what is drawn; null where nobody has to. */
  reference: string | null;
  /** Whose results count. */
  kind: string;
  vocabSize: number;
  maxModelLen: number;
}

/** What became of a message: counted, the same as one before, or refused with the reason. */
export type Verdict = "new" | "duplicate" | { refused: string };

/**
 * The requests that are asked for together, split into tasks, and what has come in for them. Results are keyed here, by prompt and
 * sample: whatever is delivered twice, late or by two workers counts once.
 */
export class Draw {
  /** A name for the weights, the requests and how they are sampled. */
  readonly id: string;
  readonly tasks: readonly Task[];
  readonly #requests: readonly GenerateRequest[];
  /** By the place of the request. */
  readonly #tasksOf: readonly (readonly Task[])[];
  readonly #context: DrawContext;
  readonly #byKey = new Map<string, Task>();
  readonly #results = new Map<string, { result: Result; worker: string }>();

  constructor(requests: readonly GenerateRequest[], params: SamplingParams, context: DrawContext) {
    const { n, temperature, topK, topP, minP = 0, maxTokens, seed, stopTokenIds } = params;
    this.id = createHash("sha256")
      .update(
        JSON.stringify([
          context.weights,
          context.reference,
          params,
          requests.map(({ promptId, promptTokenIds, firstSample, samples }) => [
            promptId,
            promptTokenIds,
            firstSample,
            samples,
          ]),
        ]),
      )
      .digest("hex")
      .slice(0, 16);
    this.#requests = requests;
    this.#context = context;
    this.#tasksOf = requests.map(({ promptId, promptTokenIds, firstSample = 0, samples = n }) =>
      Array.from({ length: Math.ceil(samples / SAMPLES_PER_TASK) }, (_, part) => ({
        temperature,
        topK,
        topP,
        minP,
        maxTokens,
        seed,
        weights: context.weights,
        reference: context.reference,
        draw: this.id,
        promptId,
        firstSample: firstSample + part * SAMPLES_PER_TASK,
        samples: Math.min(SAMPLES_PER_TASK, samples - part * SAMPLES_PER_TASK),
        promptTokenIds: [...promptTokenIds],
        stopTokenIds: [...stopTokenIds],
      })),
    );
    this.tasks = this.#tasksOf.flat();
    for (const task of this.tasks) this.#byKey.set(keyOf(task), task);
  }

  get weights(): string {
    return this.#context.weights;
  }

  /** Whose results count. */
  get kind(): string {
    return this.#context.kind;
  }

  get missing(): Task[] {
    return this.tasks.filter((task) => !this.#results.has(keyOf(task)));
  }

  /** Responses that are there. */
  get finished(): number {
    return this.#results.values().reduce((sum, { result }) => sum + result.outputs.length, 0);
  }

  /**
   * Takes in what `worker` sent.
   *
   * @throws PithError where two workers of one kind disagree: then nothing that either drew can be trusted
   */
  take(bytes: Uint8Array, worker: string): Verdict {
    let result: Result;
    try {
      result = decodeResult(bytes);
      const task = this.#byKey.get(keyOf(result));
      if (!task || result.draw !== this.id) return { refused: "it answers no task of this draw" };
      checkResult(task, result, this.#context);
    } catch (error) {
      return { refused: (error as Error).message };
    }
    const { kind } = this.#context;
    if (result.kind !== kind) return { refused: `expected kind ${kind}, got ${result.kind}` };
    const before = this.#results.get(keyOf(result));
    if (!before) {
      this.#results.set(keyOf(result), { result, worker });
      return "new";
    }
    if (!isSame(before.result, result)) {
      throw new PithError(
        `prompt ${result.promptId}, samples from ${result.firstSample}: expected the same tokens and log-probabilities from workers of one kind, got others from ${before.worker} than from ${worker}; remove the one that pith doctor finds wrong, and resume`,
      );
    }
    return "duplicate";
  }

  /** Responses and their tokens, by who sent them. */
  byWorker(): Map<string, { responses: number; tokens: number }> {
    const drawn = new Map<string, { responses: number; tokens: number }>();
    for (const { result, worker } of this.#results.values()) {
      const { responses, tokens } = drawn.get(worker) ?? { responses: 0, tokens: 0 };
      const added = completionsOf(result).reduce((sum, { tokenIds }) => sum + tokenIds.length, 0);
      drawn.set(worker, { responses: responses + result.outputs.length, tokens: tokens + added });
    }
    return drawn;
  }

  /** All that was drawn, in the order of the requests. */
  outputs(): DrawnOutput[] {
    return this.#requests.map(({ promptId, promptTokenIds }, i) => ({
      promptId,
      promptTokenIds,
      outputs: this.#tasksOf[i]!.flatMap((task) => completionsOf(this.#results.get(keyOf(task))!.result)),
    }));
  }
}

const keyOf = ({ promptId, firstSample }: Pick<Task, "promptId" | "firstSample">): string =>
  `${promptId}/${firstSample}`;

const isSame = (a: Result, b: Result): boolean => JSON.stringify(a.outputs) === JSON.stringify(b.outputs);
