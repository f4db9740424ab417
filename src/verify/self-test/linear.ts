import {
  linearBackwardBias,
  linearBackwardInput,
  linearBackwardWeight,
  linearForward,
  linearSwiglu,
} from "../../kernels/linear.ts";
import * as twin from "../../reference/linear.ts";
import { swigluForward } from "../../reference/swiglu.ts";
import type { Trial } from "./trial.ts";

/** A micro-batch's rows, and a decode step's. */
const ROWS = [37, 3];
const INPUTS = 896;
const OUTPUTS = 130;

const linear = (rows: number): Trial => ({
  name: `linear, ${rows} rows`,
  hasProducts: true,
  run(b) {
    const [x, dy] = [b.input([rows, INPUTS], "f32"), b.input([rows, OUTPUTS], "f32")];
    const [weight, bias] = [b.input([OUTPUTS, INPUTS]), b.input([OUTPUTS])];
    const residual = b.input([rows, OUTPUTS], "f32");
    const y = b.output(rows, OUTPUTS);
    const [dx, dweight, dbias] = [b.output(rows, INPUTS), b.output(OUTPUTS, INPUTS), b.output(OUTPUTS)];
    linearForward(b.rec, { x: x.tensor, weight: weight.tensor, bias: bias.tensor, residual: residual.tensor, y });
    linearBackwardInput(b.rec, { dy: dy.tensor, weight: weight.tensor, dx, accumulate: false });
    linearBackwardWeight(b.rec, { x: x.tensor, dy: dy.tensor, dweight, storage: b.storage });
    linearBackwardBias(b.rec, { dy: dy.tensor, dbias });
    const values = { x: x.values, weight: weight.values, dy: dy.values, inputs: INPUTS, outputs: OUTPUTS };
    const product = twin.linearForward({ ...values, bias: bias.values });
    b.expect(
      y,
      product.map((value, i) => residual.values[i]! + value),
    );
    b.expect(dx, twin.linearBackwardInput(values));
    b.expect(dweight, twin.linearBackwardWeight(values));
    b.expect(dbias, twin.linearBackwardBias(values));
  },
});

const gated = (rows: number): Trial => ({
  name: `linear and swiglu, ${rows} rows`,
  hasProducts: true,
  run(b) {
    const x = b.input([rows, INPUTS], "f32");
    const [gateWeight, upWeight] = [b.input([OUTPUTS, INPUTS]), b.input([OUTPUTS, INPUTS])];
    const [gate, up, y] = [b.elements(rows, OUTPUTS), b.elements(rows, OUTPUTS), b.output(rows, OUTPUTS)];
    linearSwiglu(b.rec, { x: x.tensor, gateWeight: gateWeight.tensor, upWeight: upWeight.tensor, gate, up, y });
    const product = (weight: Float64Array) =>
      twin.linearForward({ x: x.values, weight, inputs: INPUTS, outputs: OUTPUTS });
    const want = { gate: product(gateWeight.values), up: product(upWeight.values) };
    b.expect(gate, want.gate);
    b.expect(up, want.up);
    b.expect(y, swigluForward(want));
  },
});

export const linearTrials: readonly Trial[] = ROWS.flatMap((rows) => [linear(rows), gated(rows)]);
