import { embeddingBackward, embeddingForward, linkOccurrences } from "../../kernels/embedding.ts";
import { rmsnormBackward, rmsnormForward } from "../../kernels/rmsnorm.ts";
import { ropeBackward, ropeForward } from "../../kernels/rope.ts";
import { swigluBackward, swigluForward } from "../../kernels/swiglu.ts";
import * as embeddingTwin from "../../reference/embedding.ts";
import * as rmsnormTwin from "../../reference/rmsnorm.ts";
import * as ropeTwin from "../../reference/rope.ts";
import * as swigluTwin from "../../reference/swiglu.ts";
import type { Bench, Trial } from "./trial.ts";

const ROWS = 13;
const WIDTH = 896;

/** Rows of the residual stream, or heads. */
const rmsnorm = (b: Bench, ...shape: number[]) => {
  const columns = shape.at(-1)!;
  const [x, weight, dy] = [b.input(shape, "f32"), b.input([columns]), b.input(shape, "f32")];
  const [y, rstd] = [b.output(...shape), b.output(...shape.slice(0, -1))];
  const [dx, dweight] = [b.output(...shape), b.output(columns)];
  const tensors = { x: x.tensor, weight: weight.tensor, rstd };
  rmsnormForward(b.rec, { ...tensors, y, eps: 1e-6 });
  rmsnormBackward(b.rec, { ...tensors, dy: dy.tensor, dx, dweight, accumulate: false });
  const values = { x: x.values, weight: weight.values };
  const want = rmsnormTwin.rmsnormForward({ ...values, eps: 1e-6 });
  const gradients = rmsnormTwin.rmsnormBackward({ ...values, rstd: want.rstd, dy: dy.values });
  b.expect(y, want.y);
  b.expect(rstd, want.rstd);
  b.expect(dx, gradients.dx);
  b.expect(dweight, gradients.dweight);
};

const rope = (headDim: number): Trial => ({
  name: `rope, D ${headDim}`,
  run(b) {
    const positions = [0, 8, 3, 3, 7];
    const heads = (count: number) => b.input([positions.length, count, headDim], "f32");
    const [q, k, dq, dk] = [heads(3), heads(1), heads(3), heads(1)];
    const table = b.input([9, headDim], "f32");
    const device = { positions: b.indices(positions), table: table.tensor };
    ropeForward(b.rec, { q: q.tensor, k: k.tensor, ...device });
    ropeBackward(b.rec, { dq: dq.tensor, dk: dk.tensor, ...device });
    const want = { positions, table: table.values, headDim };
    b.expect(q.tensor, ropeTwin.ropeForward({ x: q.values, heads: 3, ...want }));
    b.expect(k.tensor, ropeTwin.ropeForward({ x: k.values, heads: 1, ...want }));
    b.expect(dq.tensor, ropeTwin.ropeBackward({ dx: dq.values, heads: 3, ...want }));
    b.expect(dk.tensor, ropeTwin.ropeBackward({ dx: dk.values, heads: 1, ...want }));
  },
});

export const rowTrials: readonly Trial[] = [
  {
    name: "embedding",
    run(b) {
      const ids = Uint32Array.of(3, 0, 3, 6, 1, 3, 6, 2, 2, 0, 5, 4, 3);
      const [weight, dout] = [b.input([7, WIDTH]), b.input([ROWS, WIDTH], "f32")];
      const [out, dweight] = [b.output(ROWS, WIDTH), b.output(7, WIDTH)];
      const device = { ids: b.indices(ids), links: b.indices(linkOccurrences(ids)) };
      embeddingForward(b.rec, { ids: device.ids, weight: weight.tensor, out });
      embeddingBackward(b.rec, { ...device, dout: dout.tensor, dweight });
      const shape = { ids, columns: WIDTH };
      b.expect(out, embeddingTwin.embeddingForward({ ...shape, weight: weight.values }));
      b.expect(dweight, embeddingTwin.embeddingBackward({ ...shape, dout: dout.values, vocabulary: 7 }));
    },
  },
  { name: "rmsnorm", run: (b) => rmsnorm(b, ROWS, WIDTH) },
  { name: "rmsnorm of heads, D 128", run: (b) => rmsnorm(b, ROWS, 3, 128) },
  rope(64),
  rope(128),
  {
    name: "swiglu",
    run(b) {
      const [gate, up, dy] = [b.input([ROWS, WIDTH]), b.input([ROWS, WIDTH]), b.input([ROWS, WIDTH], "f32")];
      const [y, dgate, dup] = [b.output(ROWS, WIDTH), b.output(ROWS, WIDTH), b.output(ROWS, WIDTH)];
      swigluForward(b.rec, { gate: gate.tensor, up: up.tensor, y });
      swigluBackward(b.rec, { gate: gate.tensor, up: up.tensor, dy: dy.tensor, dgate, dup });
      const gradients = swigluTwin.swigluBackward({ gate: gate.values, up: up.values, dy: dy.values });
      b.expect(y, swigluTwin.swigluForward({ gate: gate.values, up: up.values }));
      b.expect(dgate, gradients.dgate);
      b.expect(dup, gradients.dup);
    },
  },
];
