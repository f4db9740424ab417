#!/usr/bin/env node
import { existsSync } from "node:fs";

const major = Number(process.versions.node.split(".")[0]);
if (major < 24) {
  console.error(
    `pith: expected Node 24 or newer, got ${process.versions.node}; install one, or run npm start in a checkout`,
  );
  process.exit(2);
}
// A checkout runs from its sources; the package has the built library alone.
if (existsSync(new URL("../src/cli/main.ts", import.meta.url))) {
  await import("../scripts/wgsl-hook.js");
  await import("../src/cli/main.ts");
} else {
  await import("../lib/cli/main.js");
}
