import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { afterAll, beforeEach, expect, test } from "vitest";
import { asideOf } from "../../src/runtime/aside.ts";
import { lockFolder } from "../../src/runtime/lock.ts";

const root = mkdtempSync(join(tmpdir(), "pith-aside-"));
let dir: string;
beforeEach(() => (dir = mkdtempSync(join(root, "at-"))));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** The number of a process that has ended. */
const ended = (): number => spawnSync(process.execPath, ["--version"]).pid;
/** The name that the process of that number gives. */
const nameOf = (file: string, pid: number): string => `${dir}/${file}.unfinished-${hostname()}-${pid}`;

test("what a process that is no more wrote aside goes, files and folders of any name", () => {
  const pid = ended();
  writeFileSync(nameOf("base.json", pid), "half");
  mkdirSync(nameOf("weights", pid));
  writeFileSync(`${nameOf("weights", pid)}/model.safetensors`, "half");
  asideOf(`${dir}/another`);
  expect(readdirSync(dir)).toEqual([]);
});

test("what a living process or another machine writes aside stays, and so does what is whole", () => {
  const living = spawn(process.execPath, ["-e", "setTimeout(() => {}, 60000)"]);
  const elsewhere = nameOf("base.json", ended()).replace(`-${hostname()}-`, `-${hostname()}x-`);
  const kept = [
    nameOf("base.json", living.pid!),
    elsewhere,
    `${dir}/base.json`,
    `${dir}/step-${hostname()}-${ended()}`,
  ];
  for (const path of kept) writeFileSync(path, "");
  asideOf(`${dir}/base.json`);
  for (const path of kept) expect(existsSync(path), path).toBe(true);
  living.kill();
});

test("a folder that is not there yet has nothing aside", () => {
  expect(asideOf(`${dir}/no/base.json`)).toBe(nameOf("no/base.json", process.pid));
});

test("a lock that was being made when its process was killed does not stay", () => {
  writeFileSync(nameOf("lock", ended()), "");
  lockFolder(dir);
  expect(readdirSync(dir)).toEqual(["lock"]);
});
