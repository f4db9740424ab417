import { createAccount } from "@nats-io/nkeys";
import { statSync } from "node:fs";
import process from "node:process";
import { describe, expect, test } from "vitest";
import { seedOf } from "../../src/fleet/access/keys.ts";
import { joinFleet } from "../../src/fleet/connection.ts";
import { findServer, parseListen, startServer } from "../../src/fleet/server.ts";
import { temporaryFolder } from "../helpers/host.ts";
import { listWorkers } from "../../src/fleet/status.ts";
import { freePort, titled } from "./processes.ts";

const folder = temporaryFolder();
const quiet = () => {};

test("where to listen is read as typed, and refused in one line", () => {
  expect(parseListen("0.0.0.0:5000")).toEqual({ host: "0.0.0.0", port: 5000 });
  expect(parseListen("host")).toEqual({ host: "host", port: 4222 });
  expect(parseListen(":99")).toEqual({ host: "127.0.0.1", port: 99 });
  for (const text of ["", "a:b", "a:0", "a:70000", "a b:1"])
    expect(() => parseListen(text)).toThrow(/--listen: expected HOST:PORT/);
});

test("a URL that is none, and one where nobody answers, are refused with what to do", async () => {
  for (const url of ["localhost:4222", "http://localhost", "nats://", "x"])
    await expect(joinFleet(url, "test")).rejects.toThrow(/--fleet: expected a URL such as nats:/);
  await expect(joinFleet(`nats://127.0.0.1:${await freePort()}`, "test")).rejects.toThrow(
    /expected a NATS server at .*; start one with pith fleet/,
  );
});

describe.skipIf(findServer() === null)(titled("a server"), () => {
  test("lets in who has one of its keys, which stay the same in its folder and are its owner's to read", async () => {
    const port = await freePort();
    const first = await startServer(`${folder}/kept`, { host: "127.0.0.1", port, note: quiet });
    const fleet = await joinFleet(first.url, "test");
    expect((await fleet.jsm.streams.info("TASKS")).config.retention).toBe("workqueue");
    await fleet.nc.close();
    const others = seedOf(createAccount());
    for (const login of ["", "0123@", `${new URL(first.url).username}:${others}@`])
      await expect(joinFleet(first.url.replace(/\/\/.*@/, `//${login}`), "test")).rejects.toThrow(/uthorization/);
    await first.stop();
    const second = await startServer(`${folder}/kept`, { host: "127.0.0.1", port, note: quiet });
    const again = await joinFleet(second.workerUrl, "test");
    expect(await listWorkers(again)).toEqual([]);
    await again.nc.close();
    expect([second.url, second.workerUrl]).toEqual([first.url, first.workerUrl]);
    await second.stop();
    for (const name of ["keys.json", "nats.conf"]) expect(statSync(`${folder}/kept/${name}`).mode & 0o077).toBe(0);
  }, 60_000);

  test("whose port is taken is an error that says so", async () => {
    const port = await freePort();
    const first = await startServer(`${folder}/one`, { host: "127.0.0.1", port, note: quiet });
    await expect(startServer(`${folder}/two`, { host: "127.0.0.1", port, note: quiet })).rejects.toThrow(
      /expected a port that is free, got 127.0.0.1:\d+, where somebody listens; choose another by --listen/,
    );
    await first.stop();
  }, 60_000);

  test("that is away for a moment is waited for by who joins", async () => {
    const port = await freePort();
    const first = await startServer(`${folder}/away`, { host: "127.0.0.1", port, note: quiet });
    process.kill(first.pid(), "SIGKILL"); // and it is started again
    await new Promise((resolve) => setTimeout(resolve, 100));
    await (await joinFleet(first.workerUrl, "test")).nc.close();
    await first.stop();
  }, 60_000);
});
