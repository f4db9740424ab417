import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { build } from "vite";
import { afterAll, beforeAll, expect, test } from "vitest";

const root = new URL("../..", import.meta.url).pathname;
const manifest = JSON.parse(readFileSync(`${root}/package.json`, "utf8")) as { dependencies: Record<string, string> };
const project = mkdtempSync(join(tmpdir(), "pith-package-"));
const installed = join(project, "node_modules/pith");

/** An empty project with the packed tarball in it; its dependencies are the checkout's. */
beforeAll(() => {
  execFileSync("npm", ["pack", "--silent", "--pack-destination", project], { cwd: root });
  mkdirSync(installed, { recursive: true });
  const [tarball] = globSync("*.tgz", { cwd: project });
  execFileSync("tar", ["xf", join(project, tarball!), "--strip-components", "1", "-C", installed]);
  for (const name of Object.keys(manifest.dependencies)) {
    const link = join(project, "node_modules", name);
    mkdirSync(join(link, ".."), { recursive: true });
    symlinkSync(`${root}/node_modules/${name}`, link);
  }
  writeFileSync(
    join(project, "package.json"),
    JSON.stringify({ name: "empty", type: "module", dependencies: { pith: "*", ...manifest.dependencies } }),
  );
  cpSync(`${root}/examples`, project, { recursive: true });
}, 60_000);

afterAll(() => rmSync(project, { recursive: true }));

/** Lines that an example said: two iterations, and the held-out problems. */
function expectTrained(stdout: string): void {
  const lines = stdout.trim().split("\n");
  expect(lines.length).toBe(3);
  expect(lines[0]).toMatch(/^iteration 1: .*sampler - trainer 0$/);
  const [, tokens] = /^held out: accuracy \S+, tokens (\S+)$/.exec(lines[2]!)!;
  expect(Number(tokens)).toBeGreaterThan(10);
}

const folder = join(installed, "models/reasoner");

test("the package trains in Node", () => {
  const stdout = execFileSync(process.execPath, ["node.ts", folder], { cwd: project, encoding: "utf8" });
  expectTrained(stdout);
});

test("its command runs outside a checkout", () => {
  const bin = join(installed, "bin/pith.js");
  const args = ["generate", "models/reasoner", "--prompt", "7+8=?", "--chat", "--temperature", "0"];
  expect(execFileSync(process.execPath, [bin, ...args], { cwd: project, encoding: "utf8" })).toContain("\\boxed{15}");
});

const hasDeno = spawnSync("deno", ["--version"]).status === 0;
test.skipIf(!hasDeno)("the package trains in Deno [skipped where deno is not installed]", () => {
  const flags = ["run", "-A", "--no-lock", "--node-modules-dir=manual"];
  const stdout = execFileSync("deno", [...flags, "deno.ts", folder], { cwd: project, encoding: "utf8" });
  expectTrained(stdout);
});

test("the package bundles for a browser, with nothing of Node in it", async () => {
  const warnings: string[] = [];
  await build({
    root: join(project, "browser"),
    configFile: false,
    logLevel: "silent",
    build: {
      outDir: join(project, "dist"),
      target: "es2024",
      chunkSizeWarningLimit: 2000, // kB
      rolldownOptions: { onwarn: ({ message }) => void warnings.push(message) },
    },
  });
  expect(warnings).toEqual([]);
  const bundle = globSync("dist/assets/*.js", { cwd: project }).map((path) =>
    readFileSync(join(project, path), "utf8"),
  );
  expect(bundle.join("")).toContain("linear_forward"); // shaders are in it
  expect(bundle.join("")).not.toMatch(/node:(fs|path|process|module)|webgpu\/build|__vite-browser-external/);
});

test("shaders are inlined and no source is left out of types", () => {
  const scripts = globSync("lib/**/*.js", { cwd: installed });
  expect(scripts.length).toBeGreaterThan(100);
  for (const path of scripts) {
    const code = readFileSync(join(installed, path), "utf8");
    expect(code).not.toMatch(/from "[^"]+\.(wgsl|ts)"/);
  }
  expect(globSync("lib/{index,node,deno,web}.d.ts", { cwd: installed })).toHaveLength(4);
});
