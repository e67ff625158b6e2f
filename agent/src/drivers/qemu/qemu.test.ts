import { vi } from "vitest";
import { readImage } from "../../images/index.ts";
import { imageDir, wholeSuite } from "../../sandbox/testing/config.ts";
import { conformance } from "../../sandbox/testing/conformance.ts";
import { openTestDrivers } from "./testing.ts";

// A hundred megabytes are encrypted twice by emulated processors.
if (wholeSuite) vi.setConfig({ testTimeout: 600_000 });

const { open, volume, close } = await openTestDrivers();

conformance("qemu", { open, volume, close, image: () => readImage(imageDir, "base") }, wholeSuite);
