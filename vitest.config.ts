import { playwright } from "@vitest/browser-playwright";
import { defineConfig, type TestProjectInlineConfiguration } from "vitest/config";
import { CHROMIUM, launchOptions } from "./test/browser/chromium.ts";
import { wgslText } from "./vite.config.ts";

/** All tests, in the process that was started; those of the page drive a Chromium from there. */
const all: TestProjectInlineConfiguration = {
  extends: true,
  test: {
    name: "Deno" in globalThis ? "deno" : "node",
    include: ["test/**/*.test.ts"],
    pool: "forks",
    // A software adapter already uses every core: more workers would only take turns.
    maxWorkers: 2,
  },
};

/** The engine's tests once more, in a tab. They are the last, because their adapter is on the same cores. */
const engine: TestProjectInlineConfiguration["test"] = {
  include: [
    "test/kernels/*.test.ts",
    "test/model/*.test.ts",
    "test/train/rl.test.ts",
    "test/train/two-jobs.test.ts",
    "test/verify/verify.test.ts",
  ],
  // What is not another in a tab once its kernels are right: distributions over many draws, slopes of whole models.
  exclude: ["test/kernels/sample-distribution.test.ts", "test/model/gradients.test.ts"],
  sequence: { groupOrder: 1 },
  maxWorkers: 1,
};

const inTab: TestProjectInlineConfiguration = {
  extends: true,
  test: {
    ...engine,
    browser: {
      enabled: true,
      headless: true,
      screenshotFailures: false,
      provider: playwright({ launchOptions: launchOptions() }),
      instances: [{ browser: "chromium", name: "chromium" }],
    },
  },
};

/** Stands for them where there is no Chromium: each file is listed as skipped, beside the reason. */
const skipped: TestProjectInlineConfiguration = {
  extends: true,
  test: {
    ...engine,
    name: "chromium: skipped, none is found and PITH_CHROMIUM names none",
    setupFiles: ["test/browser/skip.ts"],
  },
};

export default defineConfig({
  plugins: [wgslText],
  test: {
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // The command line is started well over a hundred times: half of a start is compiling.
    env: { NODE_COMPILE_CACHE: `${import.meta.dirname}/node_modules/.cache/node` },
    projects: [all, CHROMIUM ? inTab : skipped],
  },
});
