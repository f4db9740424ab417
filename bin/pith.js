#!/usr/bin/env node
const major = Number(process.versions.node.split(".")[0]);
if (major < 24) {
  console.error(
    `pith: expected Node 24 or newer, got ${process.versions.node}; install one, or run npm start in a checkout`,
  );
  process.exit(2);
}
await import("../scripts/wgsl-hook.js");
await import("../src/cli/main.ts");
