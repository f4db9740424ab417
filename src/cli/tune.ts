import { MODELS } from "../measure/models.ts";
import { Stopwatch } from "../measure/stopwatch.ts";
import { tune } from "../measure/tuner.ts";
import { tuningKey } from "../kernels/tuning-key.ts";
import { readModelConfig } from "../model/model.ts";
import { diskTuning } from "../runtime/tuning-disk.ts";
import { saveTuning } from "../runtime/tuning.ts";
import { files, modelFolder, note, openGpu, print } from "./host.ts";

/** `pith tune`: measures the tiles of the linear layer on a model's shapes and keeps the fastest for this adapter. */
export async function tuneCommand(model: string | undefined, { adapter }: { adapter?: string }): Promise<void> {
  const gpu = await openGpu(adapter);
  if ((await tuningKey(gpu)) === null) {
    const why = gpu.matrices ? "its limits allow one tile alone" : "only the tier matrices has more than one tile";
    print(`nothing to tune on ${gpu.name}, tier ${gpu.tier}: ${why}`);
    return;
  }
  const name = model ?? (gpu.info.isFallbackAdapter ? "reasoner" : "r1-1.5b");
  const config = MODELS[name] ?? (await readModelConfig(files, await modelFolder(name)));
  note(`${gpu.name}, tier ${gpu.tier}, the shapes of ${name}`);
  print(row("result, up to", "rule", "chosen", "times as fast"));
  const left = await tune(new Stopwatch(gpu), config, ({ shape, rule, chosen, gain }) =>
    print(row(shape, rule, chosen, gain.toFixed(2))),
  );
  if (left > 0) print(`${left} shapes take too long here and are left to the rule`);
  print(`${gpu.tuning!.size} shapes differ from the rule; kept in ${await saveTuning(gpu, diskTuning)}`);
}

const row = (shape: string, ...cells: string[]): string =>
  `${shape.padEnd(40)}${cells.map((cell) => cell.padStart(15)).join("")}`;
