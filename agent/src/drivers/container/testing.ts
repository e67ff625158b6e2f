import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { createLogger } from "@mags/kit";
import { ReflinkStore, Templates } from "@mags/storage";
import { readImage } from "../../images/index.ts";
import { Network } from "../../network/index.ts";
import type { Sandbox, SandboxSize } from "../../sandbox/driver.ts";
import { imageDir } from "../../sandbox/testing/config.ts";
import { ContainerDriver, type ContainerDriverOptions } from "./index.ts";

export interface TestDriver {
  driver: ContainerDriver;
  /** for a successor */
  options: ContainerDriverOptions;
  /** directory for the test's own files */
  dir: string;
  create(size?: Partial<SandboxSize>): Promise<Sandbox>;
  /** Removes every sandbox and what they needed. */
  close(): Promise<void>;
}

let count = 0;

/** A driver with state of its own; several may be open at a time. */
export async function openTestDriver(name: string): Promise<TestDriver> {
  const instance = `${(process.pid * 16 + count++).toString(16)}`.padStart(8, "t").slice(-8);
  const dir = await mkdtemp(`/tmp/mags-${name}-`);
  const logger = createLogger("silent");
  const network = await Network.open({ logger, instance });
  const store = await ReflinkStore.open({ dir: join(dir, "store"), logger });
  const options = {
    runDir: join("/run/mags", instance),
    volumeDir: join(store.path, "machines"),
    instance,
    ociRuntime: "auto",
    network,
    volumes: new Templates(store),
    logger,
  };
  const driver = await ContainerDriver.open(options);
  return {
    driver,
    options,
    dir,
    create: async (size) =>
      driver.create(await readImage(imageDir, "base"), { vcpus: 1, memoryMb: 256, diskGb: 0.3, ...size }),
    close: async () => {
      await driver.reclaim(new Set());
      await driver.close();
      await network.close();
      await store.close();
      await rm(join("/run/mags", instance), { recursive: true, force: true });
      await rm(dir, { recursive: true, force: true });
    },
  };
}
