/** What tests do with the page while it trains. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Download, Page } from "playwright";

/** Sums of one step: short responses, so that a software adapter trains on them within seconds. */
const EASY = Array.from({ length: 40 }, (_, i) => ({
  problem: `${10 + i}+${1 + (i % 8)}=?`,
  answer: 11 + i + (i % 8),
}));

/** Waits until the page knows whether there is a GPU. */
export const opened = (page: Page): Promise<void> =>
  page.locator("#adapter.on, #adapter.off").waitFor({ timeout: 60_000 });

/** Makes the easy sums the task. */
export async function dropEasySums(page: Page, folder: string): Promise<void> {
  const path = join(folder, "easy.jsonl");
  writeFileSync(path, EASY.map((row) => JSON.stringify(row)).join("\n"));
  await page.locator("#problems").setInputFiles(path);
  await page.getByText("Task: easy.jsonl, 32 problems to train on, 8 held out").waitFor();
}

/** Waits for the status line to match, and gives it. */
export async function statusOf(page: Page, pattern: RegExp, timeout = 60_000): Promise<string> {
  const line = page.locator(".progress .status", { hasText: pattern });
  await line.waitFor({ timeout });
  return line.innerText();
}

export const iterationOf = (line: string): number => Number(/iteration (\d+)/.exec(line)![1]);

/** Presses a button from the keyboard. */
export const press = (page: Page, name: string | RegExp): Promise<void> =>
  page.getByRole("button", { name, exact: true }).press("Enter");

/** Sets what is trained, without starting it. */
export async function choose(page: Page, iterations: number): Promise<void> {
  await page.getByLabel("Iterations", { exact: true }).fill(String(iterations));
  await page.getByLabel("Prompts each", { exact: true }).fill("1");
}

export async function save(download: Download, dir: string): Promise<string> {
  const path = join(dir, download.suggestedFilename());
  await download.saveAs(path);
  return path;
}
