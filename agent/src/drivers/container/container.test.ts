import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { createLogger } from "@mags/kit";
import { expect, test } from "vitest";
import { readImage } from "../../images.ts";
import { readLogs } from "../../logs/follow.ts";
import { LogCapture } from "../../logs/index.ts";
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

test("the system call filter is in force in every container, compiled for it or taken from an earlier one", async () => {
  const own = await mkdtemp("/tmp/mags-filter-");
  const network = await Network.open({ logger, instance: `${instance.slice(0, 7)}f` });
  const driver = await ContainerDriver.open({
    runDir: join("/run/mags", `${instance}-filter`),
    volumeDir: join(own, "volumes"),
    instance: `${instance.slice(0, 7)}f`,
    ociRuntime: "auto",
    network,
    volumes: new Volumes(join(own, "templates")),
    logger,
  });
  const image = await readImage(imageDir, "base");
  for (const round of ["first", "second"]) {
    const sandbox = await driver.create(image, { vcpus: 1, memoryMb: 128, diskGb: 0.2 });
    const directory = join(own, round);
    await mkdir(directory);
    const log = LogCapture.open({ dir: directory, limitBytes: 1e6 });
    const command = await sandbox.exec({
      directory,
      argv: ["/bin/sh", "-c", "grep ^Seccomp: /proc/self/status; grep ^Seccomp: /proc/1/status; unshare -U true 2>&1"],
      env: { PATH: "/usr/bin:/bin" },
      cwd: "/root",
      token: "1",
      stdoutFifo: log.stdoutFifo,
      stderrFifo: log.stderrFifo,
    });
    await command.end;
    log.finish({ status: "", exit_code: null, signal: null, reason: null });
    await command.release();
    log.close();
    const lines = (await readLogs({ dir: directory })).logs.map(({ message }) => message);
    expect(lines).toEqual(["Seccomp:\t2", "Seccomp:\t2", "unshare: unshare failed: Operation not permitted"]);
    await sandbox.destroy();
  }
  await driver.close();
  await network.close();
  await rm(own, { recursive: true, force: true });
});
