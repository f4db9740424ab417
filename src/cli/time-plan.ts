import { wholePercent } from "../core/format.ts";
import { UsageError } from "../errors.ts";
import type { DeviceGpu } from "../gpu/device-gpu.ts";
import { roofHere } from "../measure/roof-here.ts";
import { ROOFS, type AdapterRoof } from "../measure/roofs.ts";
import type { ModelConfig } from "../model/config.ts";
import type { ModelDType } from "../model/model.ts";
import { PHASES } from "../measure/phases.ts";
import type { Part, TimePlan } from "../measure/time-plan.ts";
import { note, print } from "./output.ts";

/** The adapter at hand, measured, in the place of a maker's figures. */
const HERE = "here";

export function checkRoof(name: string): void {
  const names = [...Object.keys(ROOFS), HERE];
  if (!names.includes(name)) throw new UsageError(`--roof: expected ${names.join(", ")}, got ${name}`);
}

/** Of a known name (checkRoof). */
export async function openRoof(
  name: string,
  gpu: DeviceGpu | null,
  config: ModelConfig,
  dtype: ModelDType,
): Promise<AdapterRoof> {
  if (name !== HERE) return ROOFS[name]!;
  if (!gpu)
    throw new UsageError(
      `--roof here: expected an adapter to measure, got none; name one of ${Object.keys(ROOFS).join(", ")}`,
    );
  note(`a short iteration on ${gpu.name} first, to plan by`);
  return roofHere(gpu, config, dtype);
}

/** What each phase takes and what bounds it. */
export function printTime(
  { phases, secondsPerIteration, tokens, decode }: TimePlan,
  { roof, mean, iterations }: { roof: AdapterRoof; mean: number; iterations: number },
): void {
  print(
    `time of an iteration on ${roof.name}, a model and no measurement: responses of ${mean} tokens in the mean, ` +
      (roof.times
        ? "by what a short iteration with random weights took here"
        : `${wholePercent(roof.reached.flops)} of the maker's operations a second and ${wholePercent(roof.reached.bytes)} of its bytes`),
  );
  for (const name of PHASES) {
    const { seconds, parts } = phases[name];
    const entries = (Object.entries(parts) as [Part, NonNullable<(typeof parts)[Part]>][]).sort(
      ([, a], [, b]) => b.seconds - a.seconds,
    );
    const detail = entries.map(([part, plan]) => `${part} ${plan.seconds.toFixed(1)} (${plan.bound})`).join(", ");
    print(`  ${name.padEnd(12)} ${seconds.toFixed(1).padStart(9)} s  ${detail}`);
  }
  print(
    `  decoding in ${decode.steps} steps of ${decode.rows} sequences, ${((1000 * phases.decode.seconds) / decode.steps).toFixed(1)} ms each`,
  );
  print(
    `  ${"total".padEnd(12)} ${secondsPerIteration.toFixed(1).padStart(9)} s  ${Math.round(tokens / secondsPerIteration)} tokens/s; ` +
      `${((iterations * secondsPerIteration) / 3600).toFixed(1)} hours in all`,
  );
}
