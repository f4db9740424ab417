import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FormatError } from "../../src/errors.ts";
import { joinFleet, type Fleet } from "../../src/fleet/connection.ts";
import { readObject } from "../../src/fleet/objects.ts";
import { findServer, startServer, type Server } from "../../src/fleet/server.ts";
import { fetchWeights, pruneWeights, publishWeights, type LocalVersion } from "../../src/fleet/weights.ts";
import { FuzzRandom } from "../helpers/fuzz.ts";
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
    fetchWeights(fleet, run, announced, files, `${folder}/cache-${cache}`, `${folder}/cache-${cache}/me`);

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
    const get = (own: string) =>
      fetchWeights(fleet, "shared", announced, files, `${folder}/cache-shared`, `${folder}/cache-shared/${own}`);
    expect(new Set(await Promise.all([get("a"), get("b"), get("c")])).size).toBe(1);
    expect(await files.list(`${folder}/cache-shared`)).toEqual([announced.weights]);
  });

  test("come no faster than the disk takes them", async () => {
    const size = 2 ** 26;
    const large = {
      save: async (to: typeof files, dir: string) => {
        await to.mkdir(dir);
        await to.write(`${dir}/model.safetensors`, new Uint8Array(size));
      },
    };
    const announced = await publishWeights(fleet, "large", large as never, files, `${folder}/large-outgoing`);
    const { inBytes: before } = fleet.nc.stats();
    let came = 0;
    const slow: typeof files = {
      ...files,
      write: (path, bytes) =>
        files.write(
          path,
          (async function* () {
            for await (const piece of bytes as AsyncIterable<Uint8Array>) {
              if (came === 0) await new Promise((resolve) => setTimeout(resolve, 1000));
              came ||= fleet.nc.stats().inBytes - before;
              yield piece;
            }
          })(),
        ),
    };
    await fetchWeights(fleet, "large", announced, slow, `${folder}/cache-large`, `${folder}/cache-large/me`);
    expect(came).toBeGreaterThan(0);
    expect(came).toBeLessThan(size / 4);
    expect((await fleet.jsm.streams.info("OBJ_weights")).state.consumer_count, "left at the server").toBe(0);
  });

  test("that are removed while they are fetched end in an error", async () => {
    const bytes = new Uint8Array(2 ** 26);
    await fleet.weights.putBlob({ name: "gone" }, bytes);
    let came = 0;
    for await (const piece of (await readObject(fleet, "gone"))!) {
      if (came === 0) await fleet.weights.delete("gone");
      came += piece.length;
    }
    expect(came).toBeLessThan(bytes.length); // who fetches compares the hash
    expect(await readObject(fleet, "gone")).toBeNull();
  }, 30_000);

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

  test("of the next version are made of what changed, and fetched whole where that is cut, wrong or of no use", async () => {
    const random = new FuzzRandom(1);
    const noise = () => Uint8Array.from({ length: 100_001 }, () => random.below(256));
    const values = noise();
    const changed = values.map((value, i) => (i % 100 === 0 ? value ^ 1 : value));
    const version = (bytes: Uint8Array) => ({
      save: async (to: typeof files, dir: string) => {
        await to.mkdir(dir);
        await to.write(`${dir}/model.safetensors`, bytes);
        await to.write(`${dir}/config.json`, "{}");
      },
    });
    const publishVersion = (bytes: Uint8Array, before: LocalVersion | null) =>
      publishWeights(fleet, "delta", version(bytes) as never, files, `${folder}/delta-outgoing`, { before });
    const first = await publishVersion(values, null);
    const second = await publishVersion(changed, first);
    const model = second.files.find(({ name }) => name === "model.safetensors")!;
    expect(model.delta!.bytes).toBeLessThan(0.2 * model.bytes);
    expect(first.files.every(({ delta }) => delta === undefined)).toBe(true);
    expect((await publishVersion(noise(), second)).files.every(({ delta }) => delta === undefined)).toBe(true);

    const cache = (name: string) => `${folder}/cache-delta-${name}`;
    const get = async (name: string) => {
      const dir = await fetchWeights(fleet, "delta", first, files, cache(name), `${cache(name)}/me`);
      const there = { dir, files: first.files };
      return readFileSync(
        `${await fetchWeights(fleet, "delta", second, files, cache(name), `${cache(name)}/me`, there)}/model.safetensors`,
      );
    };
    expect(await get("both")).toEqual(Buffer.from(changed));
    const [whole, change] = [`delta/${model.sha256}`, `delta/${model.delta!.sha256}`];
    const kept = (await fleet.weights.getBlob(whole))!;
    await fleet.weights.putBlob({ name: whole }, kept.slice(0, -1));
    expect(await get("change")).toEqual(Buffer.from(changed)); // the change alone is enough
    await fleet.weights.putBlob({ name: whole }, kept);
    const delta = (await fleet.weights.getBlob(change))!;
    for (const [i, wrong] of [delta.slice(0, -5), delta.with(40, delta[40]! ^ 8), new Uint8Array(50)].entries()) {
      await fleet.weights.putBlob({ name: change }, wrong);
      expect(await get(`wrong-${i}`)).toEqual(Buffer.from(changed));
    }
    await pruneWeights(fleet, "delta", [second]);
    expect((await fleet.weights.list()).filter(({ name }) => name.startsWith("delta/"))).toHaveLength(3);
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
