// oxlint-disable-next-line import/default -- Vite makes it: the address of the worker's script
import peerUrl from "./peer.ts?worker&url";
import { openWorker } from "./open-worker.ts";

/**
 * gpu.js builds code at run time, which the page's policy forbids: its worker is begun in a frame whose policy allows that, and no
 * connection to anybody. Whoever sends a port speaks with it.
 */
addEventListener("message", ({ ports }) => openWorker(peerUrl).postMessage(null, [...ports]));
