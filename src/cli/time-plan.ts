import { wholePercent } from "../core/format.ts";
import { UsageError } from "../errors.ts";
import { ROOFS, type AdapterRoof } from "../measure/roofs.ts";
import { PHASES, REACHED, type Part, type TimePlan } from "../measure/time-plan.ts";
import { print } from "./host.ts";

export function roofNamed(name: string): AdapterRoof {
  const roof = ROOFS[name];
  if (!roof) throw new UsageError(`--roof: expected ${Object.keys(ROOFS).join(", ")}, got ${name}`);
  return roof;
}

/** What each phase takes and what bounds it. */
export function printTime(
  { phases, secondsPerIteration, tokens, decode }: TimePlan,
  { roof, mean, iterations }: { roof: AdapterRoof; mean: number; iterations: number },
): void {
  print(
    `time of an iteration on ${roof.name}, a model and no measurement: responses of ${mean} tokens in the mean, ` +
      `${wholePercent(REACHED.flops)} of the maker's operations a second and ${wholePercent(REACHED.bytes)} of its bytes`,
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
