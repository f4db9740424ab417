import { adamwStep } from "../../kernels/adamw.ts";
import { globalNorm, partialSums } from "../../kernels/grad-norm.ts";
import * as adamwTwin from "../../reference/adamw.ts";
import * as gradNormTwin from "../../reference/grad-norm.ts";
import type { Bench, Trial } from "./trial.ts";

const SIZE = 5002;
const STEP = { learningRate: 1e-2, beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.1, step: 3 };
const CLIP = 0.5;

/** A step whose state is stored as `moments`; what is random in it is drawn from the same words as the twin's. */
function adamw(b: Bench, moments: "f32" | "bf16"): void {
  const [param, grad, m] = [b.input([SIZE]), b.input([SIZE], "f32"), b.input([SIZE], moments)];
  const v = b.given(
    Float32Array.from(m.values, (x) => x * x),
    [SIZE],
    moments,
  );
  const hasMaster = b.storage === "bf16" && moments === "f32";
  const master = hasMaster ? b.given(Float32Array.from(param.values)) : param;
  const clip = b.given(Float32Array.of(2, CLIP)).tensor;
  const rounding = { seed: 5, stream: 1 };
  const isRounded = moments === "bf16";
  adamwStep(b.rec, {
    param: param.tensor,
    m: m.tensor,
    v: v.tensor,
    grad: grad.tensor,
    clip,
    ...STEP,
    ...(hasMaster && { master: master.tensor }),
    ...(isRounded && { rounding }),
  });
  adamwTwin.adamwStep({
    master: master.values,
    m: m.values,
    v: v.values,
    grad: grad.values,
    clip: CLIP,
    ...STEP,
    ...(isRounded && { rounding: { ...rounding, param: b.storage === "bf16" } }),
  });
  b.expect(m.tensor, m.values);
  b.expect(v.tensor, v.values);
  b.expect(master.tensor, master.values);
  if (hasMaster) b.expect(param.tensor, master.values);
}

export const optimizerTrials: readonly Trial[] = [
  { name: "adamw", run: (b) => adamw(b, "f32") },
  { name: "adamw, state in bfloat16", run: (b) => adamw(b, "bf16") },
  {
    name: "gradient norm",
    run(b) {
      const grads = [b.input([7, 5], "f32"), b.input([9001], "f32")];
      const out = b.output(2);
      const partials = b.output(partialSums(grads.map(({ tensor }) => tensor.size)));
      globalNorm(b.rec, { grads: grads.map(({ tensor }) => tensor), partials, out, maxNorm: 1 });
      b.expect(out, gradNormTwin.globalNorm({ grads: grads.map(({ values }) => values), maxNorm: 1 }));
    },
  },
];
