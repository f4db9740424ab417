import { linearLogits } from "../../kernels/linear.ts";
import { logprobForward, VOCAB_CHUNK } from "../../kernels/logprob.ts";
import { crossEntropyGradient, policyGradient, preferenceGradient } from "../../kernels/policy-gradient.ts";
import { logNormalizers, sampleTokens } from "../../kernels/sample.ts";
import { linearForward } from "../../reference/linear.ts";
import * as logprobTwin from "../../reference/logprob.ts";
import * as policyTwin from "../../reference/policy-gradient.ts";
import * as sampleTwin from "../../reference/sample.ts";
import type { Bench, Trial } from "./trial.ts";

const ROWS = 13;
const INPUTS = 64;
/** Several chunks, the last one not whole. */
const VOCABULARY = 2 * VOCAB_CHUNK + 37;
const TEMPERATURE = 1.25;

/** The head's tensors that log-probabilities and losses share, and the same for the twins. */
function headInputs(b: Bench) {
  const hidden = b.input([ROWS, INPUTS], "f32", 2 / Math.sqrt(INPUTS)); // logits as wide as a model's
  const weight = b.input([VOCABULARY, INPUTS]);
  const targets = perRow((t) => (977 * t) % VOCABULARY);
  const head = {
    hidden: hidden.tensor,
    weight: weight.tensor,
    targets: b.indices(targets),
    temperature: TEMPERATURE,
    logprob: b.output(ROWS),
    lse: b.output(ROWS),
    entropy: b.output(ROWS),
  };
  const values = {
    hidden: hidden.values,
    weight: weight.values,
    targets,
    temperature: TEMPERATURE,
    inputs: INPUTS,
    vocabulary: VOCABULARY,
  };
  return { head, values };
}

const perRow = (value: (row: number) => number): number[] => Array.from({ length: ROWS }, (_, row) => value(row));

/** A loss over the head: what it is recorded with, and what its twin says of the log-probabilities. */
function loss(
  name: string,
  record: (
    b: Bench,
    head: Parameters<typeof crossEntropyGradient>[1],
    logprob: Float64Array,
    weights: Float64Array,
  ) => { loss: Float64Array; coefficient: Float64Array },
): Trial {
  return {
    name,
    hasProducts: true,
    run(b) {
      const { head, values } = headInputs(b);
      const { logprob } = logprobTwin.logprobForward(values);
      const weights = b.given(Float32Array.from(perRow((t) => (t % 4 === 0 ? 0 : 0.1))));
      const outputs = {
        loss: b.output(ROWS),
        coefficient: b.output(ROWS),
        dhidden: b.output(ROWS, INPUTS),
        dweight: b.output(VOCABULARY, INPUTS),
      };
      logprobForward(b.rec, head);
      const want = record(b, { ...head, ...outputs, weights: weights.tensor }, logprob, weights.values);
      const gradients = policyTwin.headBackward({ ...values, coefficient: want.coefficient });
      b.expect(outputs.loss, want.loss);
      b.expect(outputs.dhidden, gradients.dhidden);
      b.expect(outputs.dweight, gradients.dweight);
    },
  };
}

export const headTrials: readonly Trial[] = [
  {
    name: "logprob",
    hasProducts: true,
    run(b) {
      const { head, values } = headInputs(b);
      logprobForward(b.rec, head);
      const want = logprobTwin.logprobForward(values);
      for (const name of ["logprob", "lse", "entropy"] as const) b.expect(head[name], want[name]);
    },
  },
  loss("policy gradient", (b, head, logprob, weights) => {
    const advantages = b.given(Float32Array.from(perRow((t) => Math.sin(3 * t))));
    const oldLogprobs = b.given(Float32Array.from(perRow((t) => logprob[t]! + 0.3 * Math.cos(2 * t))));
    const refLogprobs = b.given(Float32Array.from(perRow((t) => logprob[t]! + 0.2 * Math.sin(t))));
    const ratio = b.output(ROWS);
    const options = { epsilon: 0.2, beta: 0.1, klEstimator: "k3" as const };
    policyGradient(b.rec, {
      ...head,
      ...options,
      advantages: advantages.tensor,
      oldLogprobs: oldLogprobs.tensor,
      refLogprobs: refLogprobs.tensor,
      ratio,
    });
    const want = policyTwin.policyGradientLoss({
      ...options,
      logprob,
      weights,
      advantages: advantages.values,
      oldLogprobs: oldLogprobs.values,
      refLogprobs: refLogprobs.values,
    });
    b.expect(ratio, want.ratio);
    return want;
  }),
  loss("cross-entropy", (b, head, logprob, weights) => {
    crossEntropyGradient(b.rec, head);
    return policyTwin.crossEntropyLoss({ logprob, weights });
  }),
  loss("preference gradient", (b, head, logprob, weights) => {
    const refLogprobs = b.given(Float32Array.from(perRow((t) => logprob[t]! + 0.2 * Math.sin(t))));
    const bounds = [0, 3, 5, 9, ROWS];
    const margin = b.output(2);
    const options = { beta: 0.5, gamma: 0.3, pairWeight: 0.5 };
    const pairs = { bounds: b.indices(bounds), margin };
    preferenceGradient(b.rec, { ...head, ...options, ...pairs, refLogprobs: refLogprobs.tensor });
    const want = policyTwin.preferenceLoss({ ...options, logprob, weights, refLogprobs: refLogprobs.values, bounds });
    b.expect(margin, want.margin);
    return want;
  }),
  {
    name: "sample",
    hasProducts: true,
    run(b) {
      const { head, values } = headInputs(b);
      const [outTokens, outLogprobs] = [
        b.indices(
          perRow(() => 0),
          [1, ROWS],
        ),
        b.output(1, ROWS),
      ];
      const keys = perRow((r) => r).map((r) => [7, 0, 100 + r, r % 3]);
      const logits = b.output(ROWS, VOCABULARY);
      linearLogits(b.rec, { x: head.hidden, weight: head.weight, row0: 0, rows: VOCABULARY, logits });
      const lse = logNormalizers(b.rec, { logits, temperature: TEMPERATURE });
      const row = (value: number) => b.indices(perRow(() => value));
      sampleTokens(b.rec, {
        logits,
        lse,
        tokens: row(0),
        positions: row(4),
        done: row(0),
        limits: row(100),
        stops: b.indices([0xffffffff]),
        outTokens,
        outLogprobs,
        keys: b.indices(keys.flat(), [ROWS, 4]),
        temperature: TEMPERATURE,
        topK: 0,
        topP: 1,
        step: 0,
      });
      const { hidden: x, weight } = values;
      const z = linearForward({ x, weight, inputs: INPUTS, outputs: VOCABULARY }).map((logit) => logit / TEMPERATURE);
      const want = keys.map((key, r) => {
        const of = z.subarray(r * VOCABULARY, (r + 1) * VOCABULARY);
        const scores = sampleTwin.scores({ z: of, greedy: false, key, position: 4 });
        return sampleTwin.pickToken(scores, Array<boolean>(VOCABULARY).fill(true));
      });
      b.expect(outTokens, want);
      b.expect(outLogprobs, logprobTwin.logprobForward({ ...values, targets: want }).logprob);
    },
  },
];
