import { existsSync } from "node:fs";
import process from "node:process";

/** Debian's Chromium, or the one that PITH_CHROMIUM names; null where there is none. */
export const CHROMIUM =
  [process.env["PITH_CHROMIUM"], "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(
    (path) => path && existsSync(path),
  ) ?? null;

/** WebGPU on Chromium's own software adapter, so that every machine runs the same. */
const SWIFTSHADER = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"];

/** How Playwright starts it: without a sandbox, because a container's root has none. */
export const launchOptions = (gpuFlags: readonly string[] = SWIFTSHADER) => ({
  executablePath: CHROMIUM ?? "",
  args: ["--headless=new", ...gpuFlags],
  chromiumSandbox: false,
});
