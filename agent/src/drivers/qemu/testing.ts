import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { createLogger } from "@mags/kit";
import { ReflinkStore, Templates } from "@mags/storage";
import { Network } from "../../network/index.ts";
import { imageDir } from "../../sandbox/testing/config.ts";
import { emulation } from "./accelerator.ts";
import { QemuDriver } from "./index.ts";

/** Drivers over one state, each as an agent process would open it. */
export async function openTestDrivers() {
  // Its first six characters name network interfaces.
  const instance = process.pid.toString(16).padStart(6, "q").padEnd(8, "v");
  const dir = await mkdtemp("/tmp/mags-qemu-");
  const logger = createLogger("silent");
  const store = await ReflinkStore.open({ dir: join(dir, "store"), logger });
  const volumes = new Templates(store);
  const runDir = join("/run/mags", instance);
  const opened: { driver: QemuDriver; network: Network }[] = [];
  return {
    dir,
    instance,
    runDir,
    store,
    open: async () => {
      const network = await Network.open({ logger, instance });
      const volumeDir = join(store.path, "machines");
      const driver = await QemuDriver.open({
        runDir,
        volumeDir,
        instance,
        imageDir,
        accelerator: emulation,
        store,
        network,
        volumes,
        logger,
      });
      opened.push({ driver, network });
      return driver;
    },
    volume: async () => {
      const path = join(store.path, `kept-${randomUUID()}`);
      await volumes.create(path, 0.2, "journaled");
      return path;
    },
    /** After the last driver's `reclaim`. */
    close: async () => {
      const last = opened.at(-1);
      await last?.driver.close();
      await last?.network.close();
      await store.close();
      await rm(runDir, { recursive: true, force: true });
      await rm(dir, { recursive: true, force: true });
    },
  };
}
