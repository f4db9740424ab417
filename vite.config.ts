import { defineConfig } from "vitest/config";
import type { Plugin } from "vite";

/** `import source from "x.wgsl" with { type: "text" }` gives the file's text, as in Deno. */
const wgslText: Plugin = {
  name: "wgsl-text",
  enforce: "pre",
  transform(code, id) {
    if (id.split("?")[0]!.endsWith(".wgsl")) return { code: `export default ${JSON.stringify(code)};`, map: null };
    return undefined;
  },
};

export default defineConfig({
  root: import.meta.dirname,
  plugins: [wgslText],
  test: {
    root: import.meta.dirname,
    include: ["test/**/*.test.ts"],
    pool: "forks",
    // A software adapter already uses every core: more workers would only take turns.
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
