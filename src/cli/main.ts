import process from "node:process";
import { cac } from "cac";
import { PithError, UsageError } from "../errors.ts";
import { GRADERS } from "../grader/grade.ts";
import { configKeys, loadConfig, type Config } from "../run/config.ts";
import type { ModelDType } from "../model/model.ts";
import { files, note } from "./host.ts";

/** Flags of a command as cac parses them: dotted ones nest. */
type Flags = Record<string, unknown>;

const cli = cac("pith");

// The hub's client logs to standard output, which is for results; what it says is noted (host.ts).
console.debug = console.info = () => {};

/**
 * A command that runs on a configuration: TOML files from left to right, those of --config first (`defaults` if none), then
 * --section.key value.
 */
function configCommand(
  name: string,
  description: string,
  run: (config: Config, flags: Flags) => Promise<number | void>,
  own: string[] = [],
  defaults: string[] = [],
): void {
  const command = cli.command(`${name} [...configs]`, description).allowUnknownOptions();
  for (const flag of [...own, "--config <file>"]) command.option(flag, "");
  command.action(async (configs: string[], flags: Flags) => {
    const { "--": _rest, help: _help, config: _config, ...sections } = flags;
    const overrides = Object.fromEntries(
      Object.entries(sections)
        .filter(([key]) => !own.some((flag) => camel(flag) === key))
        .map(([key, value]) => [key, spelledBooleans(value)]),
    );
    const named = ([flags["config"] ?? []].flat() as unknown[]).map(String);
    const paths = [...named, ...configs];
    return exit(await run(await loadConfig(files, paths.length > 0 ? paths : defaults, overrides), flags));
  });
}

/** `--section.key false` comes as text; no key of text means anything by true or false. */
const spelledBooleans = (value: unknown): unknown => {
  if (value === "true" || value === "false") return value === "true";
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, spelledBooleans(inner)]));
};

const camel = (flag: string): string =>
  flag.replace(/^--| <.*/g, "").replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase());

/** Refuses flags that a command does not have. */
function known(flags: Flags, ...names: string[]): void {
  const unknown = Object.keys(flags).find((flag) => flag !== "--" && !names.includes(flag));
  if (unknown) throw new UsageError(`unknown option ${unknown}; see pith --help`);
}

const dtypeOf = (flags: Flags, fallback: ModelDType): ModelDType => {
  const dtype = flags["dtype"] ?? fallback;
  if (dtype !== "float32" && dtype !== "bfloat16")
    throw new UsageError(`--dtype: expected float32 or bfloat16, got ${String(dtype)}`);
  return dtype;
};

const numberOf = (flags: Flags, name: string, fallback: number): number => {
  const value = flags[name] ?? fallback;
  if (typeof value !== "number") throw new UsageError(`--${name}: expected a number, got ${JSON.stringify(value)}`);
  return value;
};

/** 1,64,2048 */
function countsOf(flags: Flags, name: string, fallback: readonly number[]): readonly number[] {
  const value = flags[name] as string[] | undefined;
  const counts = value === undefined ? fallback : value.join(",").split(",").map(Number);
  const ok = counts.every((count) => Number.isSafeInteger(count) && count > 0);
  if (!ok) throw new UsageError(`--${name}: expected whole numbers such as 1,64, got ${value!.join(",")}`);
  return counts;
}

/** What the plan of a dry run is compared with. */
const memoryOf = (flags: Flags): string | undefined =>
  flags["memory"] === undefined ? undefined : String(flags["memory"]);

/** Every value of a flag that takes several (--flag a b --flag=c): cac knows the first alone and calls the others arguments. */
function valuesOf(flag: string): string[] {
  const values: string[] = [];
  let within = false;
  for (const arg of process.argv) {
    if (arg.startsWith("-")) within = arg === flag;
    else if (within) values.push(arg);
    if (arg.startsWith(`${flag}=`)) values.push(arg.slice(flag.length + 1));
  }
  return values;
}

const adapterOf = (flags: Flags): { adapter?: string } => {
  const adapter = (flags["device"] as Flags | undefined)?.["adapter"];
  return adapter === undefined ? {} : { adapter: String(adapter) };
};

configCommand(
  "start",
  "Train the bundled reasoner (configs/start.toml) and compare it with what it was",
  async (config, flags) =>
    flags["dryRun"]
      ? (await import("./dry-run.ts")).dryRunCommand(config, memoryOf(flags))
      : (await import("./start.ts")).startCommand(config),
  ["--dry-run", "--memory <size>"],
  [new URL("../../configs/start.toml", import.meta.url).pathname],
);
configCommand(
  "train",
  "Reinforcement learning with the length-aware reward",
  async (config, flags) =>
    flags["dryRun"]
      ? (await import("./dry-run.ts")).dryRunCommand(config, memoryOf(flags))
      : (await import("./train.ts")).trainCommand(config),
  ["--dry-run", "--memory <size>"],
);
configCommand(
  "sft",
  "Supervised fine-tuning on demonstrations, or on the model's shortest correct responses",
  async (config) => (await import("./sft.ts")).sftCommand(config),
);
configCommand(
  "dpo",
  "Preference optimisation: the model's shortest correct responses against its longest",
  async (config) => (await import("./dpo.ts")).dpoCommand(config),
);
configCommand(
  "eval",
  "Accuracy and tokens on a task's held-out problems",
  async (config, flags) =>
    (await import("./eval.ts")).evalCommand(config, {
      json: flags["json"] === true,
      cutoffs: flags["cutoff"] === undefined ? [] : String(flags["cutoff"]).split(",").map(Number),
      ...(flags["output"] === undefined ? {} : { output: String(flags["output"]) }),
    }),
  ["--json", "--cutoff <limits>", "--output <file>"],
);

cli
  .command("generate <model>", "Complete one prompt")
  .option("--prompt <text>", "the prompt, as text")
  .option("--prompt-ids <ids>", "the prompt, as token ids: 5,9,2", { type: [String] })
  .option("--chat", "send the prompt as a user's message")
  .option("--n <count>", "completions", { default: 1 })
  .option("--seed <seed>", "", { default: 0 })
  .option("--temperature <t>", "0 is greedy", { default: 1 })
  .option("--top-p <p>", "1 keeps all", { default: 1 })
  .option("--top-k <k>", "0 keeps all", { default: 0 })
  .option("--max-tokens <count>", "", { default: 256 })
  .option("--dtype <dtype>", "float32 or bfloat16", { default: "float32" })
  .option("--json", "token ids and log-probabilities")
  .option("--device.adapter <name>", "part of the adapter's name")
  .allowUnknownOptions() // cac does not know its own dotted options again: known() refuses the others
  .action(async (model: string, flags: Flags) => {
    known(
      flags,
      "prompt",
      "promptIds",
      "chat",
      "n",
      "seed",
      "temperature",
      "topP",
      "topK",
      "maxTokens",
      "dtype",
      "json",
      "device",
    );
    const ids = flags["promptIds"] as string[] | undefined;
    await (
      await import("./generate.ts")
    ).generateCommand(model, {
      dtype: dtypeOf(flags, "float32"),
      ...(flags["prompt"] === undefined ? {} : { prompt: String(flags["prompt"]) }),
      ...(ids === undefined ? {} : { promptIds: ids.join(",") }),
      n: numberOf(flags, "n", 1),
      seed: numberOf(flags, "seed", 0),
      temperature: numberOf(flags, "temperature", 1),
      topP: numberOf(flags, "topP", 1),
      topK: numberOf(flags, "topK", 0),
      maxTokens: numberOf(flags, "maxTokens", 256),
      json: flags["json"] === true,
      chat: flags["chat"] === true,
      ...adapterOf(flags),
    });
    exit(0);
  });

cli
  .command("reproduce", "The paper's methods, ablation and figures on the bundled reasoner")
  .option("--quick", "one seed and fewer values of alpha, unless --seeds says otherwise")
  .option("--seeds <seeds>", "such as 1,2,3", { type: [String] })
  .option("--output-dir <dir>", "where runs are kept and resumed", { default: "runs/reproduce" })
  .option("--device.adapter <name>", "part of the adapter's name")
  .allowUnknownOptions() // cac does not know its own dotted options again: known() refuses the others
  .action(async (flags: Flags) => {
    known(flags, "quick", "seeds", "outputDir", "device");
    const quick = flags["quick"] === true;
    const given = flags["seeds"] as string[] | undefined;
    const seeds = given ? given.join(",").split(",").map(Number) : quick ? [1] : [1, 2, 3];
    if (!seeds.every((seed) => Number.isSafeInteger(seed) && seed >= 0))
      throw new UsageError(`--seeds: expected whole numbers such as 1,2,3, got ${given!.join(",")}`);
    const { reproduceCommand } = await import("./reproduce.ts");
    exit(await reproduceCommand({ quick, seeds, dir: String(flags["outputDir"]), ...adapterOf(flags) }));
  });

cli
  .command("grade", "Judge answers: JSON lines of {pred, ref} or {response, gold, dataset}")
  .option("--grader <name>", "strict or qwen2.5-math", { default: "strict" })
  .option("--input <file>", "what to judge")
  .option("--output <file>", "the same lines with verdict, extracted and reason")
  .action(async (flags: Flags) => {
    const grader = GRADERS.find((name) => name === flags["grader"]);
    if (!grader) throw new UsageError(`--grader: expected ${GRADERS.join(" or ")}, got ${String(flags["grader"])}`);
    const { input, output } = flags;
    if (typeof input !== "string" || typeof output !== "string")
      throw new UsageError("grade: expected --input FILE and --output FILE");
    await (await import("./grade.ts")).gradeCommand(grader, input, output);
    exit(0);
  });

cli
  .command("report [...runs]", "Write report.html from a run's folder, or compare several runs and the paper")
  .option("--compare", "one page for all the runs: folders of start and reproduce, files of eval --output")
  .option("--output <file>", "where the comparison goes", { default: "compare.html" })
  .action(async (runs: string[], flags: Flags) => {
    const { reportCommand } = await import("./report.ts");
    await reportCommand(runs, { compare: flags["compare"] === true, output: String(flags["output"]) });
    exit(0);
  });

cli
  .command("data <action> [...inputs]", "prepare: make a training file from .jsonl, .json, .parquet or hub data sets")
  .option("--output <file>", "the training file, .jsonl; a report of what was left out goes beside it")
  .option("--eval <sets...>", "data sets that no row may be in: any of gsm8k, math500, aime2024, files, hub ids")
  .option("--source <names...>", "of data sets with a column source: the sources to take, all unless given")
  .option("--take <count>", "rows to draw", { default: 3200 })
  .option("--seed <seed>", "seed of the draw", { default: 42 })
  .action(async (action: string, inputs: string[], flags: Flags) => {
    if (action !== "prepare") throw new UsageError(`pith data: expected prepare, got ${action}`);
    const [take, seed] = [numberOf(flags, "take", 3200), numberOf(flags, "seed", 42)];
    if (!Number.isSafeInteger(take) || take < 1)
      throw new UsageError(`--take: expected a whole number from 1, got ${take}`);
    if (!Number.isSafeInteger(seed) || seed < 0)
      throw new UsageError(`--seed: expected a whole number from 0, got ${seed}`);
    const [evaluation, only] = [valuesOf("--eval"), valuesOf("--source")];
    const { prepareCommand } = await import("./data.ts");
    await prepareCommand(
      inputs.filter((input) => ![...evaluation, ...only].includes(input)),
      { output: String(flags["output"] ?? ""), evaluation, sources: only, take, seed },
    );
    exit(0);
  });

cli
  .command("verify [...paths]", "Compare the engine with PyTorch's fixtures")
  .option("--dtype <dtype>", "float32 or bfloat16", { default: "float32" })
  .option("--json", "one JSON object a line")
  .option("--device.adapter <name>", "part of the adapter's name")
  .allowUnknownOptions() // cac does not know its own dotted options again: known() refuses the others
  .action(async (paths: string[], flags: Flags) => {
    known(flags, "dtype", "json", "device");
    const { verifyCommand } = await import("./verify.ts");
    exit(
      await verifyCommand(paths, {
        dtype: dtypeOf(flags, "float32"),
        json: flags["json"] === true,
        ...adapterOf(flags),
      }),
    );
  });

cli
  .command("bench [...parts]", "Measure kernels, prefill, decode, rollout, train, iteration: all unless some are named")
  // No default: cac sets it while it tries other commands' dotted --model.
  .option("--model <names>", "reasoner (unless given), qwen2.5-0.5b, r1-1.5b, r1-7b or all")
  .option("--rows <counts>", "tokens that go through together, such as 1,64,2048", { type: [String] })
  .option("--batch <counts>", "sequences that decode together, such as 1,8,64,256", { type: [String] })
  .option("--context <positions>", "before what is decoded", { default: 1024 })
  .option("--dtype <dtype>", "float32 or bfloat16", { default: "bfloat16" })
  .option("--max-seconds <seconds>", "leave out what would take longer", { default: 10 })
  .option("--output <name>", "write <name>.json and <name>.md")
  .option("--compare", "compare two results: pith bench --compare A.json B.json")
  .option("--device.adapter <name>", "part of the adapter's name")
  .allowUnknownOptions() // cac does not know its own dotted options again: known() refuses the others
  .action(async (parts: string[], flags: Flags) => {
    known(flags, "model", "rows", "batch", "context", "dtype", "maxSeconds", "output", "compare", "device");
    const { benchCommand, compareCommand } = await import("./bench.ts");
    if (flags["compare"] === true) await compareCommand(parts);
    else {
      await benchCommand(parts, {
        models: String(flags["model"] ?? "reasoner"),
        rows: countsOf(flags, "rows", [1, 64, 2048]),
        batches: countsOf(flags, "batch", [1, 8, 64, 256]),
        context: numberOf(flags, "context", 1024),
        dtype: dtypeOf(flags, "bfloat16"),
        maxSeconds: numberOf(flags, "maxSeconds", 10),
        ...(flags["output"] === undefined ? {} : { output: String(flags["output"]) }),
        ...adapterOf(flags),
      });
    }
    exit(0);
  });

cli
  .command("tune [model]", "Measure the linear layer's tiles on a model's shapes; later commands take the fastest")
  .option("--device.adapter <name>", "part of the adapter's name")
  .allowUnknownOptions() // cac does not know its own dotted options again: known() refuses the others
  .action(async (model: string | undefined, flags: Flags) => {
    known(flags, "device");
    await (await import("./tune.ts")).tuneCommand(model, adapterOf(flags));
    exit(0);
  });

cli
  .command("doctor", "What this machine offers, and a self-test of every kernel on it")
  .option("--device.adapter <name>", "part of the adapter's name")
  .allowUnknownOptions() // cac does not know its own dotted options again: known() refuses the others
  .action(async (flags: Flags) => {
    known(flags, "device");
    exit(await (await import("./doctor.ts")).doctorCommand(adapterOf(flags)));
  });

cli.help((sections) => {
  if (!process.argv.slice(2).some((arg) => ["start", "train", "sft", "dpo", "eval"].includes(arg))) return sections;
  const keys = configKeys().map(
    ({ key, default: value, description }) =>
      `  --${key.padEnd(28)} ${description} (${value === undefined ? "unset" : JSON.stringify(value)})`,
  );
  return [...sections, { title: "Configuration", body: keys.join("\n") }];
});
cli.version("0.1.0");

/** Dawn keeps the process alive, so it ends here. */
function exit(code: number | void): never {
  process.exit(code ?? 0);
}

function fail(error: unknown): never {
  if (error instanceof PithError) {
    note(`pith: ${error.message}`);
    process.exit(error.exitCode);
  }
  if (error instanceof Error && error.name === "CACError") {
    note(`pith: ${error.message}; see pith --help`);
    process.exit(2);
  }
  note(`pith: ${error instanceof Error ? error.stack : String(error)}`);
  process.exit(1);
}

process.on("unhandledRejection", fail);
try {
  const { args, options } = cli.parse(process.argv, { run: false });
  if (cli.matchedCommand) await cli.runMatchedCommand();
  else if (!options["help"] && !options["version"]) {
    throw new UsageError(
      args[0] ? `unknown command ${args[0]}; see pith --help` : "expected a command; see pith --help",
    );
  }
} catch (error) {
  fail(error);
}
