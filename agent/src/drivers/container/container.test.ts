import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { createLogger } from "@mags/kit";
import { readImage } from "../../images.ts";
import { Volumes } from "../../mounts/volume.ts";
import { Network } from "../../network/index.ts";
import { imageDir } from "../../sandbox/testing/config.ts";
import { conformance } from "../../sandbox/testing/conformance.ts";
import { ContainerDriver } from "./index.ts";

const instance = process.pid.toString(16).padStart(8, "c");
const dir = await mkdtemp("/tmp/mags-container-");
const logger = createLogger("silent");
let drivers: ContainerDriver[] = [];
let networks: Network[] = [];

conformance("container", {
  open: async () => {
    const network = await Network.open({ logger, instance });
    const driver = await ContainerDriver.open({
      runDir: join("/run/mags", instance),
      volumeDir: join(dir, "volumes"),
      instance,
      ociRuntime: "auto",
      network,
      volumes: new Volumes(join(dir, "templates")),
      logger,
    });
    drivers.push(driver);
    networks.push(network);
    return driver;
  },
  image: () => readImage(imageDir, "base"),
  close: async () => {
    await drivers.at(-1)?.close();
    await networks.at(-1)?.close();
    drivers = [];
    networks = [];
    await rm(join("/run/mags", instance), { recursive: true, force: true });
    await rm(dir, { recursive: true, force: true });
  },
});
