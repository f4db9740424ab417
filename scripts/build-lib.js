// lib/: the package's JavaScript and types. Shaders are inlined, so that no host and no bundler has to know of .wgsl.
import { execFileSync } from "node:child_process";
import { globSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const root = join(import.meta.dirname, "..");
const lib = join(root, "lib");
rmSync(lib, { recursive: true, force: true });
execFileSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", "tsconfig.lib.json"], {
  cwd: root,
  stdio: "inherit",
});

const SHADER = /^import (\w+) from "([^"]+\.wgsl)" with \{ type: "text" \};$/gm;
for (const path of globSync("**/*.js", { cwd: lib })) {
  const file = join(lib, path);
  const code = readFileSync(file, "utf8");
  const inlined = code.replace(SHADER, (_, name, shader) => {
    // lib/ lies where src/ does, so the relative path is the same.
    const text = readFileSync(join(dirname(file), shader), "utf8");
    return `const ${name} = ${JSON.stringify(text)};`;
  });
  if (inlined !== code) writeFileSync(file, inlined);
}
