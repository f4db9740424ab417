import { expose } from "comlink";
import { fetchFromGate } from "../../src/fleet/guest/fetch-weights.ts";
import { Guest, type Lent } from "../../src/fleet/guest/guest.ts";
import { readInvitation } from "../../src/fleet/guest/invitation.ts";
import { joinAsGuest } from "../../src/fleet/guest/join.ts";
import { WorkerPolicy } from "../../src/fleet/worker-policy.ts";
import { openGpu } from "../../src/runtime/web.ts";
import { adapterName } from "../session/device.ts";
import { BlobFiles } from "../storage/blob-files.ts";

/** What hears how it goes. */
export interface LendHost {
  opened(adapter: string): void;
  changed(lent: Lent): void;
}

/** The side of the page that computes: a guest on this tab's device. */
export class Lender {
  #stop = new AbortController();

  /** Until it is stopped, or the invitation ends; what ended it, "" where it was stopped. */
  async lend(origin: string, invitation: string, { opened, changed }: LendHost): Promise<string> {
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    const gpu = await openGpu();
    opened(adapterName(gpu));
    const files = new BlobFiles();
    const policy = new WorkerPolicy(gpu, { files, fetch: fetchFromGate(origin, files) });
    try {
      const read = readInvitation(invitation);
      const nc = await joinAsGuest(read, origin);
      const lost = gpu.device.lost.then(({ message }) => Promise.reject(new Error(`the GPU was lost: ${message}`)));
      const closed = nc.closed().then((error) => (error ? String(error.message) : ""));
      const guest = new Guest(nc, read.id, policy, changed);
      await Promise.race([guest.work(signal), closed, lost]);
      await nc.close();
      return signal.aborted ? "" : await closed;
    } finally {
      policy.dispose();
      gpu.dispose();
    }
  }

  stop(): void {
    this.#stop.abort();
  }
}

expose(new Lender());
