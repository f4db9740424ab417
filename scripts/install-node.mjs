// Puts the binary of the `node` development dependency's platform package into node_modules/.bin, for where npm ran no
// install scripts. Runs on any Node.
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, chmodSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const { version } = JSON.parse(readFileSync("node_modules/node/package.json", "utf8"));
const folder = mkdtempSync(join(tmpdir(), "pith-node-"));
try {
  const name = `node-${process.platform}-${process.arch}`;
  const [{ filename }] = JSON.parse(
    execFileSync("npm", ["pack", `${name}@${version}`, "--json", "--pack-destination", folder], { encoding: "utf8" }),
  );
  execFileSync("tar", ["xzf", filename, "package/bin/node"], { cwd: folder });
  rmSync("node_modules/.bin/node", { force: true });
  copyFileSync(join(folder, "package/bin/node"), "node_modules/.bin/node");
  chmodSync("node_modules/.bin/node", 0o755);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
