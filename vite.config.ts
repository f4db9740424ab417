import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { defineConfig, type Plugin } from "vite";

/** `import source from "x.wgsl" with { type: "text" }` gives the file's text, as in Deno. */
export const wgslText: Plugin = {
  name: "wgsl-text",
  enforce: "pre",
  transform(code, id) {
    if (id.split("?")[0]!.endsWith(".wgsl")) return { code: `export default ${JSON.stringify(code)};`, map: null };
    return undefined;
  },
};

const root = import.meta.dirname;

/** Writes sw.js: web/sw.js with the names of all that was built. */
const serviceWorker: Plugin = {
  name: "service-worker",
  apply: "build",
  generateBundle: {
    order: "post",
    handler(_, bundle) {
      // A tab is lent with a network, or not at all.
      const isKept = (name: string) => name !== "index.html" && !/(^|\/)lend\b/.test(name);
      const files = ["./", ...Object.keys(bundle).filter(isKept)];
      const pages = Object.values(bundle).filter(({ fileName }) => fileName === "index.html");
      const version = createHash("sha256").update(JSON.stringify([files, pages.map(sourceOf)]));
      const source = readFileSync(`${root}/web/sw.js`, "utf8")
        .replace('"__FILES__"', files.map((name) => JSON.stringify(name)).join(", "))
        .replace("__VERSION__", version.digest("hex").slice(0, 12));
      this.emitFile({ type: "asset", fileName: "sw.js", source });
    },
  },
};

const sourceOf = (file: { type: string; source?: string | Uint8Array }): string => String(file.source ?? "");

export default defineConfig({
  root: `${root}/web`,
  // Every address is relative: the built page works under any path of any file host.
  base: "./",
  plugins: [wgslText, serviceWorker],
  worker: { format: "es", plugins: () => [wgslText] },
  server: { fs: { allow: [root] } },
  // What the page's policy forbids must not be built in: data: addresses, and the polyfill of module preloading.
  build: {
    outDir: `${root}/dist`,
    emptyOutDir: true,
    target: "es2024",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: { input: ["index.html", "peer.html", "lend/index.html"].map((page) => `${root}/web/${page}`) },
  },
});
