import { execFileSync } from "node:child_process";
import process from "node:process";

const ip = (...args: string[]) => execFileSync("ip", args, { stdio: ["ignore", "ignore", "pipe"] });

/** A network namespace on this machine, with a link to it that can be cut. Wants root, and iproute2. */
export class Network {
  /** Where this machine is seen from within. */
  readonly host: string;
  /** What runs a command within. */
  readonly within: readonly string[];
  readonly #name = `pith-${process.pid}`;
  readonly #link = `pith${process.pid % 100_000}`;

  constructor() {
    const subnet = `10.213.${process.pid % 250}`;
    this.host = `${subnet}.1`;
    this.within = ["ip", "netns", "exec", this.#name];
    ip("netns", "add", this.#name);
    ip("link", "add", this.#link, "type", "veth", "peer", "name", "up0", "netns", this.#name);
    ip("addr", "add", `${subnet}.1/24`, "dev", this.#link);
    ip("link", "set", this.#link, "up");
    ip("-n", this.#name, "addr", "add", `${subnet}.2/24`, "dev", "up0");
    ip("-n", this.#name, "link", "set", "up0", "up");
  }

  cut(): void {
    ip("link", "set", this.#link, "down");
  }

  mend(): void {
    ip("link", "set", this.#link, "up");
  }

  remove(): void {
    ip("netns", "del", this.#name);
  }
}

/** Null where this machine lets nobody make one. */
export function openNetwork(): Network | null {
  try {
    return new Network();
  } catch {
    return null;
  }
}
