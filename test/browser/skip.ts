import { beforeEach } from "vitest";

/** A set-up file: every test of its project is skipped. */
beforeEach(({ skip }) => skip("no Chromium"));
