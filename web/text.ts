import { percent } from "../src/core/format.ts";

export const format = {
  percent,
  tokens: (n: number): string => n.toFixed(1),
  number: (n: number): string => n.toFixed(3),
  signed: (n: number): string => `${n < 0 ? "−" : "+"}${Math.abs(n).toFixed(2)}`,
  bytes: (n: number): string =>
    n < 1e6 ? `${(n / 1e3).toFixed(0)} kB` : n < 1e9 ? `${(n / 1e6).toFixed(1)} MB` : `${(n / 1e9).toFixed(2)} GB`,
  count: (n: number): string => n.toLocaleString("en"),
};

const iterationsOf = (n: number): string => (n === 1 ? "1 iteration" : `${n} iterations`);

/** Every English word of the page. */
export const text = {
  title: "Pith",
  documentTitle: "Pith: teach a reasoning model to get to the point",
  tagline: "Teach a reasoning model to get to the point",
  idea: {
    why: "Reasoning models check, doubt and repeat what they already know, and every token of it costs time and power.",
    how: "Reinforcement learning can teach them to stop: of the model’s own right answers to a question, the shorter ones earn more; wrong ones earn nothing.",
    knob: "One knob, alpha, says how much more: ",
    paper: "Training Language Models to Reason Efficiently",
    authors: " (Arora & Zanette, 2025; ",
    code: "their code",
    end: ").",
  },
  here: "What is trained here trains on your GPU, in this tab: nothing leaves this machine.",
  footer: "Nothing leaves this machine. Apache-2.0.",
  lend: "Invited to somebody’s run? Lend this tab",
  skip: "Skip to the content",
  nav: "Sections",
  opening: "Opening WebGPU…",
  adapter: "WebGPU",
  adapterName: (name: string) => ` on ${name}`,
  noAdapter: "No WebGPU",
  dismiss: "Dismiss",
  cancel: "Cancel",
  share: { copy: "Copy link", copied: "Copied", failed: "Copy the address bar" },

  notices: {
    "no-webgpu": {
      title: "This browser gives the page no GPU.",
      what: "Recordings, kept runs, charts and exports work without it; training and answering need it. Use a current Chrome, Edge, Safari or Firefox over https or localhost, with hardware acceleration switched on.",
    },
    "no-worker": {
      title: "This browser runs no workers here.",
      what: "The engine runs in a module worker so that the page never blocks. Open the page over https or localhost (not as a file), in a current browser.",
    },
    "worker-failed": {
      title: "The engine stopped.",
      what: "Reload the page: training goes on from its last checkpoint.",
    },
    "no-storage": {
      title: "Nothing will be kept.",
      what: "This browser gives the page no storage (a private window, or site data is blocked). Everything works until the tab is closed; export what you want to keep.",
    },
    "other-tab": {
      title: "Pith is open in another tab.",
      what: "That tab holds the kept runs. This one works, but keeps nothing: close the other and reload to go on with them.",
    },
    "device-lost": {
      title: "The GPU device was lost.",
      what: "The driver was reset, or the browser took the device away. It is being opened again; training goes on from its last checkpoint.",
    },
    "device-back": {
      title: "The GPU is back.",
      what: "Training, if it was under way, went on from its last checkpoint: at most one iteration was repeated.",
    },
    "out-of-memory": {
      title: "The GPU ran out of memory.",
      what: "Training goes on from its last checkpoint with half as many tokens at a time. Close other tabs that use the GPU if this happens again.",
    },
    "not-saved": {
      title: "This browser has no room left for this page.",
      what: "What was kept so far is whole. From here on everything lives in this tab alone: export what you want to keep. Delete runs or free space on the disk, and reload, to have it kept again.",
    },
    unreadable: {
      title: "Some of what was kept here cannot be read.",
      what: "It was cut off while it was written, or the disk broke it. It is left alone, and everything else is here.",
    },
    failed: {
      title: "That did not work.",
      what: "Kept runs are as they were; what happened is below.",
    },
    hidden: {
      title: "Training went on while this tab was hidden.",
      what: "The browser may slow a hidden tab down. Every iteration is kept, so nothing is lost if it closes the tab.",
    },
    incomplete: {
      title: "The recordings cannot be loaded.",
      what: "Reload the page. What trains here works without them.",
    },
    resumable: {
      title: "A run is waiting.",
      what: "It was not finished when the tab was closed. Resume goes on from its last checkpoint.",
    },
  },

  try: {
    title: "Ask it",
    lead: "The bundled reasoner is a tiny language model (0.2 million parameters) that adds and subtracts aloud, and checks itself rather more often than it has to. Ask it something; the untrained and the trained model answer side by side.",
    problem: "Problem",
    hint: "A sum of one to five steps, such as 37+8-5+4=?",
    pick: "Or pick one",
    another: "Another",
    trained: "Trained model",
    current: (iteration: number) => `the run above, after ${iterationsOf(iteration)}`,
    noneOption: "none yet",
    ask: "Answer",
    asking: "Answering…",
    base: "Base model",
    nothing: "Nothing is trained yet. Start a run above: its model answers here after the first iteration.",
    notSum:
      "This model was taught sums alone, with numbers from 0 to 99 and one digit after each sign. Ask one such as 37+8-5+4=?",
    waiting: "Its answer appears here.",
    tokens: "tokens",
    correct: "✓ correct",
    wrong: "✗ wrong",
    truncated: "✗ cut off",
    unknown: "not a sum that this page can check",
    saved: (share: number) =>
      share >= 0 ? `${Math.round(100 * share)}% fewer tokens` : `${Math.round(-100 * share)}% more tokens`,
    finished: (base: string, trained: string) => `Base model: ${base}. Trained model: ${trained}.`,
  },

  charts: {
    table: "As a table",
    hint: "The left and right arrow keys read single values.",
    exportAs: (kind: string) => `Save this chart as ${kind}`,
  },

  stage: {
    title: "The stage",
    follow: "Follow training",
    recording: {
      before: (alpha: number) => `Recorded at alpha ${alpha}: `,
      after: (n: number) => `, on ${n} held-out sums. Start trains yours.`,
    },
    starts: (name: string) => `Start trains ${name}, which is yours.`,
    liveOwn: (name: string) => `This tab’s run of ${name}. Faint: earlier runs.`,
    live: "This tab’s run. Faint: the recording of the nearest alpha, and earlier runs.",
    kept: (name: string) => `Your run “${name}”.`,
    back: "Back",
  },

  answer: {
    title: "One problem",
    previous: "Previous problem",
    next: "Next problem",
    before: "The untrained model’s answer",
    after: "The trained model’s answer",
    beforeNote: "before training",
    afterNote: (alpha: number) => `at α ${alpha}`,
    waiting: "after the first iteration",
    tokens: "tokens",
    right: "✓ right",
    wrong: "✗ wrong",
    saved: (share: number, before: boolean | null, after: boolean | null) =>
      [
        share >= 0.005 ? `${Math.round(100 * share)}% fewer tokens` : "",
        share <= -0.005 ? `${Math.round(-100 * share)}% more tokens` : "",
        Math.abs(share) < 0.005 ? "as many tokens" : "",
        before === true && after === true ? ", the same answer." : "",
        before === false && after === true ? ", and now it is right." : "",
        after === false ? ", and it is wrong." : "",
      ].join(""),
    legend: { work: "getting there", check: "going over it again", said: "the answer" },
    film: "Along training",
    frame: (step: number, of: number) => (step === 0 ? "untrained" : `after ${step} of ${of}`),
    spoken: (step: number, tokens: number, correct: boolean | null) =>
      `${step === 0 ? "untrained" : `after iteration ${step}`}: ${tokens} tokens${correct === null ? "" : correct ? ", right" : ", wrong"}`,
    play: "Play",
    stop: "Stop",
  },

  rule: {
    title: "The rule",
    formulaLabel:
      "The reward R equals c times one minus alpha times the sigmoid of length minus mean over standard deviation: c is 1 for a right answer and 0 for another, mean and standard deviation are those of the right answers' lengths",
    previous: "Previous prompt",
    next: "Next prompt",
    prompt: (n: number, of: number) => `${n} of ${of}`,
    answersTo: (n: number) => `${n} answers to`,
    responses: "Eight responses: length, reward, advantage",
    columns: { length: "L", reward: "R", advantage: "advantage" },
    reward: "R, reward",
    length: "L, tokens",
    mean: (value: number) => `mean ${value.toFixed(1)}`,
    std: (value: number) => `± std ${value.toFixed(1)}`,
    noneRight: "no right answer here: nothing to measure length by",
    plot: (n: number) => `Rewards of ${n} responses over their lengths, with arrows as their advantages push`,
    dot: (length: number, reward: number) => `${length} tokens, reward ${reward.toFixed(3)}`,
    right: "right",
    wrong: "wrong",
    truncated: "cut off",
    read: (n: number) => `Response ${n}`,
    row: (n: number, verdict: string, length: number, reward: number, advantage: number) =>
      `Response ${n}: ${verdict}, ${length} tokens, reward ${reward.toFixed(2)}, advantage ${advantage.toFixed(2)}. Read it`,
    empty: "The responses of the first iteration appear here.",
    nothing: "None is better than the others, so this prompt teaches nothing.",
    update: (up: number, long: number, wrong: number) => {
      const less = [...(long > 0 ? [`${long} long right`] : []), ...(wrong > 0 ? [`${wrong} wrong`] : [])].join(
        " and ",
      );
      return `The update makes ${up} short right ${up === 1 ? "answer" : "answers"} more likely${less ? `, and ${less} ${long + wrong === 1 ? "one" : "ones"} less` : ""}.`;
    },
  },

  curves: {
    tokens: "Mean tokens",
    accuracy: "Accuracy",
    reward: "Reward",
    truncated: "Cut off",
    ghost: "other runs",
    empty: "The curve begins with the first iteration.",
    more: "Reward and cut-off",
    rewardNote:
      "The reward is relative to the group: half of the right answers are longer than their mean, however short all become. So it can fall or stand still while everything gets better.",
  },

  train: {
    title: "Training",
    alpha: "Alpha",
    alphaHint: "0: right is all that counts. The larger, the more a short right answer earns over a long one.",
    play: "Play",
    stop: "Stop",
    iterations: "Iterations",
    prompts: "Prompts each",
    start: "Start",
    sweep: "Sweep",
    sweepHint: "Trains at alpha 0.05, 0.1, 0.2 and 0.4, one after the other",
    pause: "Pause",
    resume: "Resume",
    reset: "Reset",
    resetQuestion: "Go back to the untrained model? This run is not finished and will be deleted.",
    phases: {
      idle: "Ready",
      starting: "Getting ready",
      running: "Training",
      pausing: "Pausing",
      paused: "Paused",
      evaluating: "Scoring on held-out problems",
    },
    finished: "Finished",
    iteration: (n: number, of: number) => `iteration ${n} of ${of}`,
    whileHidden: (n: number) => (n === 1 ? "1 iteration was done meanwhile." : `${n} iterations were done meanwhile.`),
    sampled: (n: number, of: number) => `${n} of ${of} responses`,
    updating: "updating the weights",
    left: (seconds: number) =>
      seconds < 90 ? `about ${Math.max(1, Math.round(seconds))} s left` : `about ${Math.round(seconds / 60)} min left`,
    queued: (alphas: number[]) => `then alpha ${alphas.join(", ")}`,
  },

  tradeoff: {
    title: "The trade-off",
    lead: "Up is more right, left is shorter. Each point is a model at one alpha, on held-out problems, with its 95% intervals. Your runs join the recordings; the faint line is the front that no point beats.",
    xAxis: "mean tokens, relative to the untrained model",
    tokensAxis: "mean tokens of an answer",
    yAxis: "accuracy",
    overlay: "The paper’s models",
    overlayCutoff: "Untrained, cut off",
    overlayBaselines: "SFT and DPO",
    set: "Results",
    recordedNote: (iterations: number, prompts: number, adapter: string, evaluated: number) =>
      `Recordings: ${iterations} iterations of ${prompts} × 8 responses, on ${adapter.replace(/:? .*/, "")}; ${evaluated} held-out sums, intervals over problems.`,
    baselinesNote: "SFT and DPO on shortest answers: docs/results, intervals over three seeds.",
    paperNote: (tokens: string) =>
      `Paper: DeepSeek-R1-Distill-Qwen at 32k context, untrained ${tokens} tokens; Arora & Zanette 2025, `,
    table: (n: number) => `appendix E, table ${n}.`,
    chart: "Accuracy against tokens",
    base: "untrained",
    baseName: "untrained",
    recorded: "recorded",
    shown: "shown",
    yours: "your runs",
    paper: "paper",
    cutoff: "cut off",
    front: "front",
    difficulty: "Tokens by difficulty",
    steps: "steps of the sum",
    recordedAt: (alpha: number) => `recorded, α ${alpha}`,
    difficultyNote: "Easy problems shrink more than hard ones: what is left is what they need.",
    unnamed: (alpha: number) => `alpha ${alpha.toFixed(2)}`,
    changed: (alpha: number) => `to ${alpha.toFixed(2)}`,
  },

  runs: {
    title: "Kept runs",
    empty: "None yet. What you train is kept in this browser, and stays here.",
    import: "Import a run",
    columns: {
      name: "Name",
      what: "What",
      alpha: "Alpha",
      iterations: "Iterations",
      accuracy: "Accuracy",
      tokens: "Tokens",
      actions: "Actions",
    },
    what: (model: string, task: string) => `${model}, ${task}`,
    unfinished: "not finished",
    rename: (name: string) => `Name of the run: ${name}`,
    open: "Open",
    export: "Export",
    delete: "Delete",
    deleteQuestion: (name: string) => `Delete the run “${name}”? Its model and metrics are gone then.`,
    actionOf: {
      open: (name: string) => `Open ${name} on the stage`,
      export: (name: string) => `Export ${name} as one file: model, metrics and responses`,
      delete: (name: string) => `Delete ${name}`,
    },
  },

  own: {
    title: "Bring your own",
    lead: "A Hugging Face folder (config.json, tokenizer.json, *.safetensors) of a Qwen2, Qwen3 or Llama model, or an adapter’s over the model that was dropped before: also those that this page exports. It is checked against this adapter’s limits before anything is uploaded to the GPU, and it never leaves this machine.",
    model: "A model of your own",
    drop: "Drop a model’s folder here",
    folder: "the folder",
    choose: "Choose a folder",
    hub: "Or a hub id",
    hubHint: "such as HuggingFaceTB/SmolLM2-135M-Instruct. Only then does the page talk to huggingface.co.",
    load: "Load",
    loading: (what: string, done: string, total: string) => `${what}: ${done} of ${total}`,
    checking: "Checking",
    ready: (name: string, type: string, parameters: string, bytes: string) =>
      `${name} is ready: ${type}, ${parameters} parameters, ${bytes} on the GPU.`,
    trains: (rank: number, bytes: string) =>
      rank === 0
        ? `It trains here, all of its weights: about ${bytes} on the GPU.`
        : `It trains here by LoRA, adapters of rank ${rank} beside its frozen weights: about ${bytes} on the GPU.`,
    doesNotTrain: (why: string) => `It does not train here: ${why}.`,
    train: "Train it",
    nextRun: (name: string) => `Start trains ${name}.`,
    bundled: "Back to the bundled reasoner",
    prompt: "Prompt",
    noPrompt: "Write a prompt first.",
    generate: "Generate",
    stop: "Stop",
    output: "Completion",
    tokens: (n: number, rate: number) => `${n} tokens, ${rate.toFixed(1)} a second`,
    problems: "Problems of your own",
    problemsLead:
      "A JSONL file with a problem (or question, prompt) and an answer in each line becomes the task that the model is trained on: one row in five is held out.",
    dropProblems: "Drop a JSONL file here",
    chooseProblems: "Choose a file",
    task: (name: string, train: number, test: number) =>
      `Task: ${name}, ${train} problems to train on, ${test} held out`,
    dropped: (rows: string) => `left out: ${rows}`,
    first: "The first problem’s tokens",
    reads: (name: string, tokens: number) => `The first, as ${name} reads it, in ${tokens} tokens`,
    builtIn: "Back to the built-in sums",
    bad: "This cannot be used.",
  },

  benchmark: {
    title: "Benchmark",
    lead: "Matrix products and softmax on this adapter: Pith’s kernels, and gpu.js on WebGL2 and on the CPU, on the same numbers in the same tab, uploading and reading back included. Medians of several runs after a warm-up; they hold for this machine only.",
    run: "Run the benchmark",
    running: (what: string) => `Measuring ${what}…`,
    tiles: "which tiles are fastest",
    pauseFirst: "Pause training first: it would be measured too.",
    adapter: (name: string) => `Adapter: ${name}`,
    columns: { operation: "Operation", pith: "Pith, WebGPU", webgl2: "gpu.js, WebGL2", cpu: "gpu.js, CPU" },
    product: (n: number) => `Product ${n} × ${n} × ${n}, GFLOP/s`,
    softmax: (n: number) => `Softmax of ${n} rows of ${n}, 10⁶ numbers/s`,
    missing: "not available",
    peer: "gpu.js",
    agree: (error: string) =>
      `All results agree to within ${error} of each other (largest difference over the largest value).`,
    selfTest: "Check every kernel",
    selfTestLead: "Each kernel against its float64 twin on this adapter.",
    selfTestDone: (passed: number, failed: number) => `${passed} passed, ${failed} failed`,
    selfTestColumns: { kernel: "Kernel", error: "Error", limit: "Limit", result: "Result" },
    pass: "✓ pass",
    fail: "✗ fail",
  },
};
