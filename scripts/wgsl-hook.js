// Node has no text imports yet: this loader hook lets `import source from "x.wgsl" with { type: "text" }`
// mean in Node what it already means in Deno and, through vite.config.ts, in Vite.
import { readFileSync } from "node:fs";
import { enableCompileCache, registerHooks } from "node:module";

// Stripping types from the sources is most of what a command takes to start: Node keeps the result, in the temporary folder.
enableCompileCache();

registerHooks({
  load(url, context, nextLoad) {
    if (!url.endsWith(".wgsl")) return nextLoad(url, context);
    const text = readFileSync(new URL(url), "utf8");
    return { format: "module", shortCircuit: true, source: `export default ${JSON.stringify(text)};` };
  },
});
