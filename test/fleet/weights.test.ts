import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FormatError } from "../../src/errors.ts";
import { joinFleet, type Fleet } from "../../src/fleet/connection.ts";
import { findServer, startServer, type Server } from "../../src/fleet/server.ts";
import { fetchWeights, pruneWeights, publishWeights } from "../../src/fleet/weights.ts";
import { files, temporaryFolder } from "../helpers/host.ts";
import { toyModel } from "../helpers/toy.ts";
import { freePort, titled } from "./processes.ts";

const folder = temporaryFolder();

describe.skipIf(findServer() === null)(titled("a fleet's weights"), () => {
  let server: Server;
  let fleet: Fleet;

  beforeAll(async () => {
    server = await startServer(`${folder}/server`, { host: "127.0.0.1", port: await freePort(), note: () => {} });
    fleet = await joinFleet(server.url, "test");
  }, 60_000);

  afterAll(async () => {
    await fleet?.nc.close();
    await server?.stop();
  });

  const publish = async (run: string) =>
    publishWeights(fleet, run, await toyModel("bfloat16"), files, `${folder}/${run}-outgoing`);
  const fetch = (run: string, announced: Awaited<ReturnType<typeof publish>>, cache = run) =>
    fetchWeights(fleet, run, announced, files, `${folder}/cache-${cache}`, "me");

  test("arrive as they were saved, and are named by what they hold", async () => {
    const announced = await publish("whole");
    const dir = await fetch("whole", announced);
    await (await toyModel("bfloat16")).save(files, `${folder}/saved`);
    expect(await files.list(dir)).toEqual(await files.list(`${folder}/saved`));
    for (const name of await files.list(dir))
      expect(readFileSync(`${dir}/${name}`)).toEqual(readFileSync(`${folder}/saved/${name}`));
    expect((await publish("whole")).weights).toBe(announced.weights);
    expect(dir.endsWith(announced.weights)).toBe(true);
  });

  test("are fetched by two at once into one folder", async () => {
    const announced = await publish("shared");
    const get = (own: string) => fetchWeights(fleet, "shared", announced, files, `${folder}/cache-shared`, own);
    expect(new Set(await Promise.all([get("a"), get("b"), get("c")])).size).toBe(1);
    expect(await files.list(`${folder}/cache-shared`)).toEqual([announced.weights]);
  });

  test("of another hash, or cut short, are refused and leave nothing in the cache", async () => {
    const announced = await publish("changed");
    const model = announced.files.find(({ name }) => name === "model.safetensors")!;
    const object = `changed/${model.sha256}`;
    const bytes = (await fleet.weights.getBlob(object))!;
    for (const [i, wrong] of [bytes.with(bytes.length - 1, bytes.at(-1)! ^ 1), bytes.slice(0, -1)].entries()) {
      await fleet.weights.putBlob({ name: object }, wrong);
      const error = await fetch("changed", announced, `changed-${i}`).then(
        () => null,
        (reason: unknown) => reason,
      );
      expect(error).toBeInstanceOf(FormatError);
      expect((error as Error).message).toMatch(
        /run changed, model.safetensors: expected \d+ bytes of SHA-256 \w+, got \d+ bytes/,
      );
      expect(await files.exists(`${folder}/cache-changed-${i}/${announced.weights}`)).toBe(false);
    }
    await fleet.weights.putBlob({ name: object }, bytes);
    expect(await fetch("changed", announced, "changed-0")).toContain(announced.weights);
  });

  test("whose files do not come to the announced hash are not fetched", async () => {
    const announced = await publish("forged");
    const forged = { ...announced, weights: "0".repeat(64) };
    await expect(fetch("forged", forged)).rejects.toThrow(/run forged: expected its files to come to 0000/);
  });

  test("that no version names any more leave the store, those of other runs stay", async () => {
    const announced = await publish("old");
    await publish("other");
    await pruneWeights(fleet, "old", [announced]);
    const inStore = async (run: string) =>
      (await fleet.weights.list()).filter(({ name }) => name.startsWith(`${run}/`)).length;
    expect(await inStore("old")).toBe(announced.files.length);
    await pruneWeights(fleet, "old", []);
    expect([await inStore("old"), await inStore("other")]).toEqual([0, announced.files.length]);
    await expect(fetch("old", announced)).rejects.toThrow(/in the fleet's store, got nothing/);
  });
});
