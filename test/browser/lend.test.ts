import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium, type BrowserContext, type Page } from "playwright";
import { build } from "vite";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { joinFleet } from "../../src/fleet/connection.ts";
import { FleetSource } from "../../src/fleet/fleet-source.ts";
import { findServer, startServer, type Server } from "../../src/fleet/server.ts";
import { trainRl, type RlIteration } from "../../src/train/rl.ts";
import type { RlOptions } from "../../src/train/rl-options.ts";
import { invite, openGate, type OpenGate } from "../fleet/guests.ts";
import { freePort } from "../fleet/processes.ts";
import { files } from "../helpers/host.ts";
import { TOY_RL, toySetup, weightDigest } from "../helpers/toy.ts";
import { accessibilityFaults } from "./axe.ts";
import { CHROMIUM, launchOptions } from "./chromium.ts";

const root = new URL("../..", import.meta.url).pathname;
const OPTIONS: RlOptions = { ...TOY_RL, maxIterations: 2, numSteps: 1, learningRate: 0.01 };

async function outcome(source?: (model: Awaited<ReturnType<typeof toySetup>>["model"]) => FleetSource) {
  const setup = await toySetup("float32");
  const from = source?.(setup.model);
  const iterations: RlIteration[] = [];
  for await (const iteration of trainRl(setup, OPTIONS, from ? { source: from } : {})) iterations.push(iteration);
  await from?.close({ done: true });
  const timeless = iterations.map(({ metrics: { rollout_time: _r, step_time: _s, ...metrics }, rollouts }) => ({
    metrics,
    rollouts,
  }));
  return { iterations: timeless, weights: await weightDigest(setup.model) };
}

describe.skipIf(!CHROMIUM || findServer() === null)(
  "a tab that is lent [skipped where no Chromium or no nats-server is found]",
  { timeout: 240_000 },
  () => {
    let folder: string;
    let server: Server;
    let gate: OpenGate;
    let context: BrowserContext;
    const troubles: string[] = [];

    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), "pith-lend-"));
      await build({ configFile: `${root}/vite.config.ts`, logLevel: "warn", build: { outDir: `${folder}/page` } });
      server = await startServer(`${folder}/server`, { host: "127.0.0.1", port: await freePort(), note: () => {} });
      gate = await openGate(server, folder, { page: `${folder}/page` });
      context = await chromium.launchPersistentContext("", launchOptions());
    }, 120_000);

    afterAll(async () => {
      await context?.close();
      await gate?.close();
      await server?.stop();
      rmSync(folder, { recursive: true, force: true });
    });

    async function openLink(link: string): Promise<Page> {
      const page = await context.newPage();
      page.on("console", (message) => message.type() === "error" && troubles.push(message.text()));
      page.on("pageerror", (error) => troubles.push(error.message));
      page.on("request", (request) => {
        if (/eyJ|SU[A-Z2-7]{20}/.test(request.url())) troubles.push(`the token is in a request: ${request.url()}`);
      });
      await page.goto(link);
      return page;
    }

    const newTab = async () => openLink(`${gate.origin}/lend/#${await invite(`${folder}/server`)}`);
    const said = (page: Page, what: RegExp) =>
      expect.poll(() => page.locator("#state").innerText(), { timeout: 120_000 }).toMatch(what);
    const lend = (page: Page) => page.getByRole("button", { name: "Lend this tab" }).click();
    const figure = async (page: Page, id: string) => Number(await page.locator(`#${id}`).innerText());

    test("without a link it says what it needs; with one, what it can see; axe finds nothing", async () => {
      const bare = await openLink(`${gate.origin}/lend/`);
      await said(bare, /needs a link that pith fleet invite has printed/);
      expect(await bare.getByRole("button").isDisabled()).toBe(true);
      await bare.close();
      const page = await newTab();
      await said(page, /^The invitation holds until/);
      expect(await page.locator("#sees").innerText()).toMatch(
        /can see the model’s weights and the prompts .* sees no answers, no rewards/,
      );
      expect(await accessibilityFaults(page)).toEqual([]);
      await page.close();
    });

    test("samples a run: told why it waits, let in with any kind, closed in the middle; equal to the bit", async () => {
      const alone = await outcome();
      const fleet = await joinFleet(server.url, "trainer");
      const training = outcome(
        (model) =>
          new FleetSource(fleet, "lent", model, {
            engine: OPTIONS.engine,
            files,
            dir: `${folder}/lent`,
            openReference: null,
            onWarning: () => {},
          }),
      );
      const page = await newTab();
      await lend(page);
      await said(page, /takes adapters that compute the trainer's bits alone, and this tab's computes others/);
      await page.close();

      await gate.close();
      gate = await openGate(server, folder, { page: `${folder}/page`, requireKind: "any" });
      const [first, second] = [await newTab(), await newTab()];
      await lend(first);
      await expect.poll(() => figure(first, "accepted"), { timeout: 120_000 }).toBeGreaterThan(2);
      await first.close(); // with tasks in work
      await lend(second);
      expect(await training).toEqual(alone);
      expect(await figure(second, "accepted")).toBeGreaterThan(2);
      expect(await figure(second, "tokens")).toBeGreaterThan(10);
      expect(await figure(second, "refused")).toBe(0);
      expect(await second.locator("#adapter").innerText()).toMatch(/^on .*swiftshader/i);
      await second.getByRole("button", { name: "Stop" }).click();
      await said(second, /^Stopped. Nothing is lost.$/);
      await second.close();
      expect(gate.said.filter((line) => /samples, on an adapter of another kind/.test(line))).toHaveLength(2);
      expect(gate.said.filter((line) => /refused a message|shut out|problem/.test(line))).toEqual([]);
      expect(troubles).toEqual([]);
    });
  },
);
