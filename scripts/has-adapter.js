// Exits with 0 if Dawn finds an adapter that it can open a device on.
import { create, globals } from "webgpu";

Object.assign(globalThis, globals);
const instance = create([]);
const adapter = await instance.requestAdapter();
const device = await adapter?.requestDevice();
process.exit(device ? 0 : 1);
