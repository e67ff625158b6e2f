import { randomUUID } from "node:crypto";
import { chown, mkdir, mkdtemp, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { createLogger } from "@mags/kit";
import { ReflinkStore, Templates } from "@mags/storage";
import { expect, test } from "vitest";
import { readImage } from "../../images.ts";
import { readLogs } from "../../logs/follow.ts";
import { LogCapture } from "../../logs/index.ts";
import { Network } from "../../network/index.ts";
import { imageDir } from "../../sandbox/testing/config.ts";
import { conformance } from "../../sandbox/testing/conformance.ts";
import { ContainerDriver } from "./index.ts";

const instance = process.pid.toString(16).padStart(8, "c");
const dir = await mkdtemp("/tmp/mags-container-");
const logger = createLogger("silent");
let drivers: ContainerDriver[] = [];
let networks: Network[] = [];
let store: ReflinkStore | undefined;

conformance("container", {
  open: async () => {
    const network = await Network.open({ logger, instance });
    store ??= await ReflinkStore.open({ dir: join(dir, "store"), logger });
    const driver = await ContainerDriver.open({
      runDir: join("/run/mags", instance),
      volumeDir: join(store.path, "machines"),
      instance,
      ociRuntime: "auto",
      network,
      volumes: new Templates(store),
      logger,
    });
    drivers.push(driver);
    networks.push(network);
    return driver;
  },
  image: () => readImage(imageDir, "base"),
  volume: async () => {
    const volumes = store as ReflinkStore;
    const path = join(volumes.path, `kept-${randomUUID()}`);
    await new Templates(volumes).create(path, 0.2, "journaled");
    return path;
  },
  close: async () => {
    await drivers.at(-1)?.close();
    await networks.at(-1)?.close();
    drivers = [];
    await store?.close();
    networks = [];
    await rm(join("/run/mags", instance), { recursive: true, force: true });
    await rm(dir, { recursive: true, force: true });
  },
});

test("the system call filter is in force in every container, compiled for it or taken from an earlier one; devices stay the host's", async () => {
  // A runtime gives a container its standard streams to own, and whoever owns /dev/null may close it for everybody.
  await chown("/dev/null", 0, 0);
  const own = await mkdtemp("/tmp/mags-filter-");
  const network = await Network.open({ logger, instance: `${instance.slice(0, 7)}f` });
  const store = await ReflinkStore.open({ dir: own, logger });
  const driver = await ContainerDriver.open({
    runDir: join("/run/mags", `${instance}-filter`),
    volumeDir: join(store.path, "machines"),
    instance: `${instance.slice(0, 7)}f`,
    ociRuntime: "auto",
    network,
    volumes: new Templates(store),
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
  expect((await stat("/dev/null")).uid).toBe(0);
  await driver.close();
  await network.close();
  await store.close();
  await rm(own, { recursive: true, force: true });
});
