import { UsageError } from "../errors.ts";
import { GRADERS } from "../grader/grade.ts";
import type { Config } from "../run/config.ts";
import type { Args, Flags } from "./args.ts";
import { shipped } from "./shipped.ts";

/** A command of the command line: what it takes, and what it does with it. Its code is loaded when it runs. */
export interface Command {
  /** What comes after the name, as help shows it. */
  takes: string;
  summary: string;
  flags: Flags;
  /** Returns the exit code, 0 where it returns none. */
  run(args: Args): Promise<number | void>;
}

/** A command that runs on a configuration: TOML files from left to right, then `--section.key value`. */
export interface ConfiguredCommand extends Omit<Command, "run" | "takes"> {
  /** Files in the place of those that are not given. */
  defaults?: readonly string[];
  run(config: Config, args: Args): Promise<number | void>;
}

const DTYPES = ["float32", "bfloat16"] as const;

const ADAPTER: Flags = { "device.adapter": { value: "NAME", help: "part of the adapter's name" } };
const DTYPE = (fallback: string): Flags => ({
  dtype: { value: "DTYPE", help: "float32 or bfloat16", default: fallback },
});
const FLEET: Flags = {
  fleet: {
    value: "URL",
    help: "of the fleet's server, as pith fleet prints it; worker, gate and status also take PITH_FLEET",
  },
};
const PLAN: Flags = {
  "dry-run": { help: "print the configuration and what it takes, and stop" },
  memory: { value: "SIZE", help: "of the device that the plan is compared with, such as 80GB or 24GiB" },
  roof: {
    value: "NAME",
    help: "also plan the time, on h100, h200, a100, 4090, 7900xtx, m3max, or here, by a short iteration",
  },
  tokens: { value: "N", help: "tokens of a response in that plan, in the mean; default a quarter of the most" },
};

const planFlags = (args: Args) => ({
  ...(args.text("memory") === undefined ? {} : { memory: args.text("memory")! }),
  ...(args.text("roof") === undefined ? {} : { roof: args.text("roof")! }),
  ...(args.text("tokens") === undefined ? {} : { tokens: args.whole("tokens", 0, 1) }),
});

/** The flag's text under its own name, nothing where it is not given. */
function textOf<K extends string>(args: Args, flag: K): { [Name in K]?: string } {
  const text = args.text(flag);
  return (text === undefined ? {} : { [flag]: text }) as { [Name in K]?: string };
}

const adapterOf = (args: Args): { adapter?: string } => {
  const adapter = args.text("device.adapter");
  return adapter === undefined ? {} : { adapter };
};

const outputOf = (args: Args): { output?: string } => {
  const output = args.text("output");
  return output === undefined ? {} : { output };
};

export const CONFIGURED: Readonly<Record<string, ConfiguredCommand>> = {
  start: {
    summary: "Train the bundled reasoner (configs/start.toml) and compare it with what it was",
    flags: PLAN,
    defaults: [shipped("configs/start.toml")],
    run: async (config, args) =>
      args.has("dry-run")
        ? (await import("./dry-run.ts")).dryRunCommand(config, planFlags(args))
        : (await import("./start.ts")).startCommand(config),
  },
  train: {
    summary: "Reinforcement learning with the length-aware reward",
    flags: { ...PLAN, ...FLEET },
    run: async (config, args) =>
      args.has("dry-run")
        ? (await import("./dry-run.ts")).dryRunCommand(config, planFlags(args))
        : (await import("./train.ts")).trainCommand(config, textOf(args, "fleet")),
  },
  sft: {
    summary: "Supervised fine-tuning on demonstrations, or on the model's shortest correct responses",
    flags: {},
    run: async (config) => (await import("./sft.ts")).sftCommand(config),
  },
  dpo: {
    summary: "Preference optimisation: the model's shortest correct responses, or cut ones, against its longest",
    flags: {},
    run: async (config) => (await import("./dpo.ts")).dpoCommand(config),
  },
  eval: {
    summary: "Accuracy and tokens on a task's held-out problems",
    flags: {
      json: { help: "one JSON object instead of tables" },
      cutoff: { value: "LIMITS", help: "score the responses as if cut off at these tokens, such as 8000,16000" },
      output: { value: "FILE", help: "keep the responses, and go on from those that are there" },
    },
    run: async (config, args) =>
      (await import("./eval.ts")).evalCommand(config, {
        json: args.has("json"),
        cutoffs: args.wholes("cutoff", [], 1),
        ...outputOf(args),
      }),
  },
};

export const COMMANDS: Readonly<Record<string, Command>> = {
  generate: {
    takes: "MODEL",
    summary: "Complete one prompt",
    flags: {
      prompt: { value: "TEXT", help: "the prompt, as text" },
      "prompt-ids": { value: "IDS", help: "the prompt, as token ids: 5,9,2" },
      chat: { help: "send the prompt as a user's message" },
      n: { value: "COUNT", help: "completions", default: "1" },
      seed: { value: "SEED", help: "of what is drawn", default: "0" },
      temperature: { value: "T", help: "0 is greedy", default: "1" },
      "top-p": {
        value: "P",
        help: "keep the most probable tokens that reach this probability; 1 keeps all",
        default: "1",
      },
      "top-k": { value: "K", help: "keep the k most probable tokens; 0 keeps all", default: "0" },
      "min-p": {
        value: "P",
        help: "keep the tokens of at least P times the most probable one's probability; 0 keeps all",
        default: "0",
      },
      "max-tokens": { value: "COUNT", help: "of a completion at most", default: "256" },
      stop: { value: "TEXT", help: "ends a completion, and is no part of its text; may be given again" },
      ...DTYPE("float32"),
      json: { help: "token ids and log-probabilities" },
      ...ADAPTER,
    },
    run: async (args) => {
      const [model, ...rest] = args.positionals;
      if (model === undefined || rest.length > 0)
        throw new UsageError(`generate: expected one model, got ${args.positionals.join(" ") || "none"}`);
      const ids = args.has("prompt-ids") ? args.wholes("prompt-ids", [], 0) : undefined;
      const prompt = args.text("prompt");
      await (
        await import("./generate.ts")
      ).generateCommand(model, {
        dtype: args.choice("dtype", "float32", DTYPES),
        ...(prompt === undefined ? {} : { prompt }),
        ...(ids === undefined ? {} : { promptTokenIds: ids }),
        n: args.number("n", 1),
        seed: args.number("seed", 0),
        temperature: args.number("temperature", 1),
        topP: args.number("top-p", 1),
        topK: args.number("top-k", 0),
        minP: args.number("min-p", 0),
        maxTokens: args.number("max-tokens", 256),
        stop: args.all("stop"),
        json: args.has("json"),
        chat: args.has("chat"),
        ...adapterOf(args),
      });
    },
  },

  merge: {
    takes: "ADAPTER",
    summary: "A plain Hugging Face folder of an adapter and its base",
    flags: { output: { value: "DIR", help: "the new folder" }, ...DTYPE("bfloat16") },
    run: async (args) => {
      const [adapter, ...rest] = args.positionals;
      const output = args.text("output");
      if (adapter === undefined || rest.length > 0 || output === undefined)
        throw new UsageError("merge: expected one adapter's folder and --output DIR");
      const { mergeCommand } = await import("./merge.ts");
      await mergeCommand(adapter, output, args.choice("dtype", "bfloat16", DTYPES));
    },
  },

  grade: {
    takes: "",
    summary: "Judge answers: JSON lines of {pred, ref} or {response, gold, dataset}",
    flags: {
      grader: { value: "NAME", help: GRADERS.join(" or "), default: GRADERS[0] },
      input: { value: "FILE", help: "what to judge" },
      output: { value: "FILE", help: "the same lines with verdict, extracted and reason" },
    },
    run: async (args) => {
      const [input, output] = [args.text("input"), args.text("output")];
      if (input === undefined || output === undefined)
        throw new UsageError("grade: expected --input FILE and --output FILE");
      await (await import("./grade.ts")).gradeCommand(args.choice("grader", GRADERS[0], GRADERS), input, output);
    },
  },

  data: {
    takes: "prepare FILE...",
    summary: "Make a training file from .jsonl, .json, .parquet or hub data sets",
    flags: {
      output: { value: "FILE", help: "the training file, .jsonl; a report of what was left out goes beside it" },
      eval: {
        value: "SETS",
        many: true,
        help: "data sets that no row may be in: any of gsm8k, math500, aime2024, files, hub ids",
      },
      source: {
        value: "NAMES",
        many: true,
        help: "of data sets with a column source: the sources to take, all unless given",
      },
      take: { value: "COUNT", help: "rows to draw", default: "3200" },
      seed: { value: "SEED", help: "of the draw", default: "42" },
    },
    run: async (args) => {
      const [action, ...inputs] = args.positionals;
      if (action !== "prepare") throw new UsageError(`data: expected prepare, got ${action ?? "nothing"}`);
      const { prepareCommand } = await import("./data.ts");
      await prepareCommand(inputs, {
        output: args.text("output") ?? "",
        evaluation: args.all("eval"),
        sources: args.all("source"),
        take: args.whole("take", 3200, 1),
        seed: args.whole("seed", 42, 0),
      });
    },
  },

  reproduce: {
    takes: "",
    summary: "The paper's methods, ablation and figures on the bundled reasoner; --arena: all methods on one budget",
    flags: {
      arena: { help: "instead: every method of docs/methods.md at three strengths, and alpha by scale_rewards" },
      quick: { help: "one seed, fewer values of alpha, of --arena the middle strengths; --seeds may say otherwise" },
      seeds: { value: "SEEDS", help: "such as 1,2,3" },
      "output-dir": { value: "DIR", help: "where runs are kept and resumed; runs/reproduce, or runs/arena" },
      ...ADAPTER,
    },
    run: async (args) => {
      const quick = args.has("quick");
      const seeds = args.wholes("seeds", quick ? [1] : [1, 2, 3], 0);
      const options = (dir: string) => ({ quick, seeds, dir: args.text("output-dir") ?? dir, ...adapterOf(args) });
      if (args.has("arena")) return (await import("./arena.ts")).arenaCommand(options("runs/arena"));
      return (await import("./reproduce.ts")).reproduceCommand(options("runs/reproduce"));
    },
  },

  report: {
    takes: "RUN...",
    summary: "Write report.html from a run's folder, or compare several runs and the paper",
    flags: {
      compare: { help: "one page for all the runs: folders of start and reproduce, files of eval --output" },
      output: { value: "FILE", help: "where the comparison goes", default: "compare.html" },
    },
    run: async (args) =>
      (await import("./report.ts")).reportCommand(args.positionals, {
        compare: args.has("compare"),
        output: args.text("output") ?? "compare.html",
      }),
  },

  verify: {
    takes: "PATH...",
    summary: "Compare the engine with PyTorch's fixtures, or draw a run's responses again",
    flags: { ...DTYPE("float32"), json: { help: "one JSON object a line" }, ...ADAPTER },
    run: async (args) =>
      (await import("./verify.ts")).verifyCommand(args.positionals, {
        dtype: args.choice("dtype", "float32", DTYPES),
        json: args.has("json"),
        ...adapterOf(args),
      }),
  },

  bench: {
    takes: "[PART...]",
    summary: "Measure kernels, prefill, decode, rollout, train, iteration: all unless some are named",
    flags: {
      model: { value: "NAMES", help: "reasoner, qwen2.5-0.5b, r1-1.5b, r1-7b or all", default: "reasoner" },
      rows: { value: "COUNTS", help: "tokens that go through together", default: "1,64,2048" },
      batch: { value: "COUNTS", help: "sequences that decode together", default: "1,8,64,256" },
      context: { value: "POSITIONS", help: "before what is decoded", default: "1024" },
      ...DTYPE("bfloat16"),
      "max-seconds": { value: "SECONDS", help: "leave out what would take longer", default: "10" },
      output: { value: "NAME", help: "write NAME.json and NAME.md" },
      compare: { help: "compare two results: pith bench --compare A.json B.json" },
      ...ADAPTER,
    },
    run: async (args) => {
      const { benchCommand, compareCommand } = await import("./bench.ts");
      if (args.has("compare")) return compareCommand(args.positionals);
      return benchCommand(args.positionals, {
        models: args.text("model") ?? "reasoner",
        rows: args.wholes("rows", [1, 64, 2048], 1),
        batches: args.wholes("batch", [1, 8, 64, 256], 1),
        context: args.number("context", 1024),
        dtype: args.choice("dtype", "bfloat16", DTYPES),
        maxSeconds: args.number("max-seconds", 10),
        ...outputOf(args),
        ...adapterOf(args),
      });
    },
  },

  fleet: {
    takes: "[status | invite ORIGIN]",
    summary: "Start a server that trainers and workers meet at, say who is there, or invite browsers",
    flags: {
      ...FLEET,
      listen: { value: "HOST:PORT", help: "where the server is reached", default: "127.0.0.1:4222" },
      dir: { value: "DIR", help: "what the server keeps", default: "runs/fleet" },
      watch: { help: "status again and again" },
      count: { value: "N", help: "links of invite", default: "1" },
      hours: { value: "N", help: "that a link of invite holds, up to 24", default: "1" },
    },
    run: async (args) => {
      const { fleetUrl, inviteCommand, serverCommand, statusCommand } = await import("./fleet.ts");
      const [action, ...rest] = args.positionals;
      const dir = args.text("dir") ?? "runs/fleet";
      if (action === "invite" && rest.length === 1) {
        const options = { dir, count: args.whole("count", 1, 1), hours: args.whole("hours", 1, 1) };
        return inviteCommand(rest[0]!, options);
      }
      if (rest.length > 0 || (action !== undefined && action !== "status"))
        throw new UsageError(`fleet: expected status, invite ORIGIN or nothing, got ${args.positionals.join(" ")}`);
      if (action === "status") return statusCommand(fleetUrl(args.text("fleet")), { watch: args.has("watch") });
      return serverCommand({ dir, listen: args.text("listen") ?? "127.0.0.1:4222" });
    },
  },

  gate: {
    takes: "",
    summary: "Let browsers sample for the runs of a fleet: every result is drawn again on this machine's GPU",
    flags: {
      ...FLEET,
      run: { value: "NAME", help: "the one run to sample for; any unless given" },
      listen: {
        value: "HOST:PORT",
        help: "where browsers, or the proxy before them, come in",
        default: "127.0.0.1:8080",
      },
      "require-kind": {
        value: "KIND",
        help: "same: adapters that compute the trainer's bits; any: others too",
        default: "same",
      },
      ...ADAPTER,
    },
    run: async (args) => {
      const { fleetUrl, gateCommand } = await import("./fleet.ts");
      return gateCommand(fleetUrl(args.text("fleet")), {
        listen: args.text("listen") ?? "127.0.0.1:8080",
        requireKind: args.choice("require-kind", "same", ["same", "any"] as const),
        ...textOf(args, "run"),
        ...adapterOf(args),
      });
    },
  },

  worker: {
    takes: "",
    summary: "Sample for the runs of a fleet, on this machine's GPU",
    flags: {
      ...FLEET,
      run: { value: "NAME", help: "the one run to sample for; any unless given" },
      gpu: { value: "PCI", help: "on Linux: the GPU at this PCI address, or all, each with a worker of its own" },
      ...ADAPTER,
    },
    run: async (args) => {
      const { fleetUrl, workerCommand } = await import("./fleet.ts");
      const gpu = args.text("gpu");
      if (gpu !== undefined) {
        if (args.has("device.adapter")) throw new UsageError("worker: expected --gpu or --device.adapter, got both");
        return (await import("./gpus.ts")).workersOn(gpu, fleetUrl(args.text("fleet")), args.text("run"));
      }
      return workerCommand(fleetUrl(args.text("fleet")), { ...textOf(args, "run"), ...adapterOf(args) });
    },
  },

  tune: {
    takes: "[MODEL]",
    summary: "Measure the linear layer's tiles on a model's shapes; later commands take the fastest",
    flags: ADAPTER,
    run: async (args) => (await import("./tune.ts")).tuneCommand(args.positionals[0], adapterOf(args)),
  },

  doctor: {
    takes: "",
    summary: "What this machine offers, and a self-test of every kernel on it",
    flags: ADAPTER,
    run: async (args) => (await import("./doctor.ts")).doctorCommand(adapterOf(args)),
  },
};
