import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { loadTokenizer } from "../../src/hf/tokenizer.ts";
import { nodeFiles } from "../../src/runtime/files-node.ts";
import { chainValues, parseChain } from "../../src/tasks/arithmetic-chains.ts";
import { chainSolutions } from "../../src/tasks/arithmetic-solutions.ts";
import type { Selected } from "../../src/train/rejection.ts";
import { temporaryFolder } from "../helpers/host.ts";

const dir = temporaryFolder();
const root = fileURLToPath(new URL("../..", import.meta.url));

const dpo = (...settings: string[]): Promise<{ code: number; stderr: string }> =>
  new Promise((resolve) => {
    const rl = ["num_generations=6", "max_completion_length=160"].map((setting) => `--rl.${setting}`);
    const few = ["--rejection.num_prompts=5", "--dpo.pairs_per_batch=4", `--train.output_dir=${dir}`];
    const argv = ["--import", "./scripts/wgsl-hook.js", "src/cli/main.ts", "dpo", ...rl, ...few, ...settings];
    execFile(process.execPath, argv, { cwd: root, encoding: "utf8" }, (error, _stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, stderr }),
    );
  });

test(
  "dpo learns from cut responses of the bundled reasoner, and takes kept ones of its own kind alone",
  { timeout: 240_000 },
  async () => {
    const path = `${dir}/rejection.jsonl`;
    expect(await dpo("--dpo.data=fcs", "--dpo.max_steps=1")).toMatchObject({ code: 0 });
    const text = await readFile(path, "utf8");
    const { prompts, kind, selected } = JSON.parse(text) as { prompts: number; kind: string; selected: Selected[] };
    expect([prompts, kind]).toEqual([5, "fcs"]);
    const tokenizer = await loadTokenizer(nodeFiles, `${root}/models/reasoner`);
    const say = (ids: readonly number[]) => tokenizer.decode(ids, { skipSpecialTokens: true });
    expect(selected.filter(({ longest }) => longest).length).toBeGreaterThan(0);
    for (const { promptTokenIds, shortest, longest } of selected) {
      const answer = String(chainValues(parseChain(say(promptTokenIds))!).at(-1));
      expect(chainSolutions(say(shortest), answer).filter(({ correct }) => correct)).toHaveLength(1);
      expect(say(shortest)).toMatch(new RegExp(`\\\\boxed\\{${answer}\\}$`));
      if (longest) expect(longest.length).toBeGreaterThan(shortest.length);
    }

    expect(await dpo("--dpo.data=fcs", "--dpo.max_steps=2")).toMatchObject({ code: 0 });
    expect(await readFile(path, "utf8")).toBe(text);

    // A folder of another kind is refused, and so is a file of another kind in a folder of this one.
    const other = await dpo("--dpo.data=gds");
    expect([other.code, other.stderr]).toEqual([2, expect.stringContaining('another dpo.data ("fcs", not "gds")')]);
    await writeFile(path, `${JSON.stringify({ prompts, selected })}\n`);
    const older = await dpo("--dpo.data=fcs", "--dpo.max_steps=4");
    expect([older.code, older.stderr]).toEqual([2, expect.stringContaining('of the kind "fcs", got "shortest"')]);

    const uncut = await dpo("--dpo.data=fcs", "--task.name=examples/stories.ts", `--train.output_dir=${dir}/stories`);
    expect([uncut.code, uncut.stderr]).toEqual([
      2,
      expect.stringContaining('expected "shortest" for the task stories'),
    ]);
    expect(existsSync(`${dir}/stories`)).toBe(false);
  },
);
