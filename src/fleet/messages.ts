import { z } from "zod";
import type { GenerateRequest } from "../engine/llm.ts";
import type { SamplingParams } from "../engine/sampling-params.ts";
import { FormatError } from "../errors.ts";
import type { DrawnCompletion } from "../train/drawn.ts";
import { Reader, Writer } from "./bytes.ts";

/** Version of everything that is sent: both sides refuse another. */
export const FORMAT = 2;

/** Says in the second word what a message is. */
const SAMPLE = 0;

const u32 = z.int().min(0).max(0xffffffff);

/** A SHA-256 as it is sent. */
export const digest = z.string().regex(/^[0-9a-f]{64}$/);
const drawId = z.string().regex(/^[0-9a-f]{16}$/);
/** Far above any context. */
const tokens = z
  .array(u32)
  .min(1)
  .max(2 ** 24);

export const taskSchema = z.strictObject({
  /** Of the policy to sample from. */
  weights: digest,
  /** Of the reference that scores what is drawn; null where no scores are wanted. */
  reference: digest.nullable(),
  /** What the task belongs to: the requests that were asked for together. */
  draw: drawId,
  promptId: u32,
  firstSample: u32,
  /** Of this prompt, from `firstSample` on. */
  samples: z.int().min(1).max(4096),
  maxTokens: z
    .int()
    .min(1)
    .max(2 ** 24),
  temperature: z.number().min(0),
  topK: u32,
  topP: z.number().gt(0).max(1),
  minP: z.number().min(0).max(1),
  seed: z.int().min(0),
  promptTokenIds: tokens,
  stopTokenIds: z.array(u32).max(4096),
});

/** Some samples of one prompt: with the weights all that a worker needs to know. */
export type Task = z.infer<typeof taskSchema>;

const resultSchema = z.strictObject({
  weights: digest,
  draw: drawId,
  /** Of the adapter that sampled: kind.ts. */
  kind: digest,
  promptId: u32,
  firstSample: u32,
  outputs: z
    .array(
      z.strictObject({
        tokenIds: tokens,
        logprobs: z.array(z.number().max(0)),
        /** Under the reference, where the task names one. */
        refLogprobs: z.array(z.number().max(0)).optional(),
        finishReason: z.enum(["stop", "length"]),
      }),
    )
    .min(1)
    .max(4096),
});

/** What a task's samples came to. */
export type Result = z.infer<typeof resultSchema>;

const FINISH = ["stop", "length"] as const;

export function encodeTask(task: Task): Uint8Array {
  const { promptId, firstSample, samples, maxTokens, topK, promptTokenIds, stopTokenIds, reference } = task;
  return new Writer()
    .u32(FORMAT, SAMPLE, promptId, firstSample, samples, maxTokens, topK, promptTokenIds.length, stopTokenIds.length)
    .u32(Number(reference !== null))
    .f64(task.temperature, task.topP, task.minP, task.seed)
    .hex(task.weights)
    .hex(reference ?? "")
    .hex(task.draw)
    .u32s(promptTokenIds)
    .u32s(stopTokenIds)
    .done();
}

/** @throws FormatError where the bytes are not a task of this format */
export const decodeTask = (bytes: Uint8Array): Task =>
  decoded("task", bytes, taskSchema, (reader) => {
    const [promptId, firstSample, samples, maxTokens, topK, promptTokens, stops, isScored] = reader.u32s(8);
    return {
      promptId,
      firstSample,
      samples,
      maxTokens,
      topK,
      temperature: reader.f64(),
      topP: reader.f64(),
      minP: reader.f64(),
      seed: reader.f64(),
      weights: reader.hex(32),
      reference: isScored === 0 ? null : reader.hex(32),
      draw: reader.hex(8),
      promptTokenIds: reader.u32s(promptTokens!),
      stopTokenIds: reader.u32s(stops!),
    };
  });

export function encodeResult({ weights, draw, kind, promptId, firstSample, outputs }: Result): Uint8Array {
  const isScored = outputs[0]!.refLogprobs !== undefined;
  const writer = new Writer().u32(FORMAT, SAMPLE, promptId, firstSample, outputs.length, Number(isScored));
  writer.hex(weights).hex(draw).hex(kind);
  for (const { tokenIds, finishReason } of outputs) writer.u32(tokenIds.length, FINISH.indexOf(finishReason));
  for (const { tokenIds } of outputs) writer.u32s(tokenIds);
  for (const { logprobs } of outputs) writer.f32s(logprobs);
  for (const { refLogprobs = [] } of outputs) writer.f32s(refLogprobs);
  return writer.done();
}

/** @throws FormatError where the bytes are not a result of this format */
export const decodeResult = (bytes: Uint8Array): Result =>
  decoded("result", bytes, resultSchema, (reader) => {
    const [promptId, firstSample, samples, isScored] = reader.u32s(4);
    const head = { promptId, firstSample, weights: reader.hex(32), draw: reader.hex(8), kind: reader.hex(32) };
    const words = reader.u32s(2 * samples!);
    const lengths = words.filter((_, i) => i % 2 === 0);
    const tokenIds = lengths.map((length) => reader.u32s(length));
    const logprobs = lengths.map((length) => reader.f32s(length));
    const refLogprobs = isScored === 0 ? [] : lengths.map((length) => reader.f32s(length));
    return {
      ...head,
      outputs: lengths.map((_, s) => ({
        tokenIds: tokenIds[s],
        logprobs: logprobs[s],
        ...(refLogprobs[s] && { refLogprobs: refLogprobs[s] }),
        finishReason: FINISH[words[2 * s + 1]!],
      })),
    };
  });

function decoded<T>(what: string, bytes: Uint8Array, schema: z.ZodType<T>, read: (reader: Reader) => unknown): T {
  try {
    const reader = new Reader(bytes);
    const [format, kind] = reader.u32s(2);
    if (format !== FORMAT || kind !== SAMPLE)
      throw new FormatError(`expected format ${FORMAT}, kind ${SAMPLE}, got ${format}, ${kind}`);
    const value = read(reader);
    reader.end();
    const parsed = schema.safeParse(value);
    if (!parsed.success) throw new FormatError(z.prettifyError(parsed.error).replaceAll(/\s+/g, " "));
    return parsed.data;
  } catch (error) {
    throw new FormatError(`a ${what} of ${bytes.length} bytes: ${(error as Error).message}`, { cause: error });
  }
}

export const requestOf = ({ promptId, promptTokenIds, firstSample }: Task): GenerateRequest => ({
  promptId,
  promptTokenIds,
  firstSample,
});

export const paramsOf = (task: Task): SamplingParams => ({
  n: task.samples,
  temperature: task.temperature,
  topK: task.topK,
  topP: task.topP,
  minP: task.minP,
  maxTokens: task.maxTokens,
  seed: task.seed,
  stopTokenIds: task.stopTokenIds,
});

export const completionsOf = ({ firstSample, outputs }: Result): DrawnCompletion[] =>
  outputs.map((output, i) => ({ index: firstSample + i, ...output }));

/**
 * Holds a result against the task that it answers.
 *
 * @throws FormatError where an honest sampler could not have made it, whatever the logits
 */
export function checkResult(task: Task, result: Result, limits: { vocabSize: number; maxModelLen: number }): void {
  const most = Math.min(task.maxTokens, limits.maxModelLen - task.promptTokenIds.length);
  const stops = new Set(task.stopTokenIds);
  const refuse = (expected: string, got: number | string) => {
    throw new FormatError(
      `prompt ${task.promptId}, samples from ${task.firstSample}: expected ${expected}, got ${got}`,
    );
  };
  if (result.weights !== task.weights) refuse(`the weights ${task.weights}`, result.weights);
  if (result.outputs.length !== task.samples) refuse(`${task.samples} samples`, result.outputs.length);
  const scores = task.reference === null ? "no" : "the reference's";
  for (const { tokenIds, logprobs, refLogprobs, finishReason } of result.outputs) {
    const outside = tokenIds.find((id) => id >= limits.vocabSize);
    if (outside !== undefined) refuse(`tokens below ${limits.vocabSize}`, outside);
    if (logprobs.length !== tokenIds.length) refuse("a log-probability for each token", logprobs.length);
    if (refLogprobs?.length !== (task.reference === null ? undefined : tokenIds.length))
      refuse(`${scores} log-probabilities beside the policy's`, refLogprobs?.length ?? "none");
    if (tokenIds.length > most) refuse(`at most ${most} tokens`, tokenIds.length);
    const end = tokenIds.findIndex((id) => stops.has(id));
    if (end >= 0 && end < tokenIds.length - 1) refuse("an end at the first stop token", `one at ${end}`);
    const reason = end >= 0 ? "stop" : "length";
    if (finishReason !== reason) refuse(`the end "${reason}"`, finishReason);
    if (end < 0 && tokenIds.length < most) refuse(`${most} tokens of what was cut off`, tokenIds.length);
  }
}
