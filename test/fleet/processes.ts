import { spawn, type ChildProcess } from "node:child_process";
import { createServer } from "node:net";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { findServer } from "../../src/fleet/server.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** A title that says why its tests are skipped, where they are. */
export const titled = (title: string): string =>
  findServer() === null ? `${title} (skipped: there is no nats-server here)` : title;

/** A command of pith in a process of its own. */
export class Pith {
  readonly child: ChildProcess;
  /** Both outputs. */
  said = "";
  readonly ended: Promise<number | null>;

  /** `within`: a command that runs another, such as one in a network of its own. */
  constructor(args: readonly string[], env: Readonly<Record<string, string>> = {}, within: readonly string[] = []) {
    const node = [process.execPath, "--import", "./scripts/wgsl-hook.js", "src/cli/main.ts", ...args];
    const [command, ...argv] = [...within, ...node] as [string, ...string[]];
    this.child = spawn(command, argv, {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.child.stdout!, this.child.stderr!])
      stream.setEncoding("utf8").on("data", (text: string) => (this.said += text));
    this.ended = new Promise((resolve) => this.child.once("close", (code) => resolve(code)));
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** When it has said so. */
  async says(what: RegExp): Promise<void> {
    let code: number | null | undefined;
    void this.ended.then((end) => (code = end));
    while (!what.test(this.said)) {
      if (code !== undefined) throw new Error(`expected ${String(what)}, got an end with code ${code}:\n${this.said}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** A port that nobody listens at. */
export const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
