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

export default defineConfig({
  root: `${root}/web`,
  // Every address is relative: the built page works under any path of any file host.
  base: "./",
  plugins: [wgslText],
  worker: { format: "es", plugins: () => [wgslText] },
  server: { fs: { allow: [root] } },
  // What the page's policy forbids must not be built in: data: addresses, and the polyfill of module preloading.
  build: {
    outDir: `${root}/dist`,
    emptyOutDir: true,
    target: "es2024",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
});
