import { randomUUID } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import { Cleanup, createLogger, run } from "@mags/kit";
import { ReflinkStore, readLogs, Templates } from "@mags/storage";
import { expect, test, vi } from "vitest";
import { readImage } from "../../images/index.ts";
import { LogCapture } from "../../logs/index.ts";
import { Network } from "../../network/index.ts";
import { imageDir } from "../../sandbox/testing/config.ts";
import { conformance } from "../../sandbox/testing/conformance.ts";
import { ContainerDriver } from "./index.ts";
import { openTestDriver } from "./testing.ts";

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

const env = { PATH: "/usr/bin:/bin" };

test("the system call filter is in force in every container, compiled for it or taken from an earlier one", async () => {
  const fresh = await openTestDriver("filter");
  for (let round = 1; round <= 2; round++) {
    const sandbox = await fresh.create();
    const script = "grep -h ^Seccomp: /proc/self/status /proc/1/status; unshare -U true 2>&1";
    const session = await sandbox.open({ argv: ["/bin/sh", "-c", script], env });
    expect((await text(session.stdout)).split("\n")).toEqual([
      "Seccomp:\t2",
      "Seccomp:\t2",
      "unshare: unshare failed: Operation not permitted",
      "",
    ]);
  }
  await fresh.close();
});

// A runtime gives a container its standard streams to own, and whoever owns /dev/null may close it for everybody.
test("no device of the host is given to a container as one of its streams", async () => {
  const fresh = await openTestDriver("streams");
  const sandbox = await fresh.create();
  const directory = fresh.dir;
  const log = LogCapture.open({ dir: directory, limitBytes: 1e6 });
  const { end, release } = await sandbox.exec({
    directory,
    argv: ["/bin/sh", "-c", "readlink /proc/1/fd/0 /proc/1/fd/1 /proc/1/fd/2 /proc/self/fd/0; cat /dev/stdin"],
    env,
    cwd: "/root",
    token: "1",
    stdoutFifo: log.stdoutFifo,
    stderrFifo: log.stderrFifo,
  });
  expect(await end).toEqual({ exitCode: 0 });
  log.finish({ status: "", exit_code: null, signal: null, reason: null });
  await release();
  log.close();
  const streams = (await readLogs({ dir: directory })).logs.map(({ message }) => message);
  expect(streams).toEqual(new Array(4).fill("/memfd:empty (deleted)"));
  await fresh.close();
});

test("after a session the next one's runtime is started ahead: it takes that session, waits outside, and ends with its sandbox", async () => {
  const world = await openTestDriver("ahead");
  const sandbox = await world.create();
  const runtimes = async () => {
    const lines = await run("ps", ["-eo", "pid=,args="]);
    return lines
      .split("\n")
      .flatMap((line) => (line.includes(` exec `) && line.includes(sandbox.id) ? [line.trim()] : []));
  };
  const say = async (argv: string[]) => {
    const session = await sandbox.open({ argv, env });
    session.stdin.end();
    const [said] = await Promise.all([text(session.stdout), session.exit]);
    return said;
  };
  expect(await runtimes()).toEqual([]);
  expect(await say(["/bin/echo", "first"])).toBe("first\n");
  await vi.waitFor(async () => expect(await runtimes()).toHaveLength(1), 10_000);
  const [waiting] = await runtimes();
  // It is not seen inside, and what is told to it may be long.
  expect(await say(["/bin/sh", "-c", 'cat /proc/[0-9]*/cmdline | tr "\\0" "\\n" | grep -c "^--pid-file$"'])).toBe(
    "0\n",
  );
  const long = "x".repeat(100_000);
  expect(await say(["/bin/echo", long])).toBe(`${long}\n`);
  await vi.waitFor(
    async () => expect(await runtimes()).toEqual([expect.not.stringMatching(waiting as string)]),
    10_000,
  );
  await sandbox.destroy();
  await vi.waitFor(async () => expect(await runtimes()).toEqual([]), 10_000);
  await world.close();
});

test("a start that finds no network leaves no disk, also where that was still to be made", async () => {
  const world = await openTestDriver("full");
  const network = await Network.open({ logger, instance: `f${instance.slice(1)}`, range: "10.214.255.0/29" });
  const driver = await ContainerDriver.open({ ...world.options, network });
  const taken = new Cleanup();
  const image = await readImage(imageDir, "base");
  const starts = async () => {
    for (;;) await network.acquire(taken);
  };
  await expect(starts()).rejects.toThrow("in use");
  await expect(driver.create(image, { vcpus: 1, memoryMb: 256, diskGb: 0.3 })).rejects.toThrow("in use");
  await delay(1000);
  await taken.run();
  expect(await driver.traces()).toEqual([]);
  await network.close();
  await world.close();
});

test("a runtime that never comes back from a start is ended, the start fails with the reason, and nothing is left", async () => {
  const world = await openTestDriver("hangs");
  const ociRuntime = join(world.dir, "crun");
  await writeFile(ociRuntime, '#!/bin/sh\ncase " $* " in *" run "*) kill -STOP $$ ;; esac\nexec crun "$@"\n', {
    mode: 0o755,
  });
  const driver = await ContainerDriver.open({ ...world.options, ociRuntime, startMs: 500 });
  const size = { vcpus: 1, memoryMb: 256, diskGb: 0.3 };
  await expect(driver.create(await readImage(imageDir, "base"), size)).rejects.toThrow("it was not done after 0.5 s");
  expect(await run("sh", ["-c", `ps -eo args= | grep -F ${world.dir}/crun | grep -v grep || true`])).toBe("");
  expect(await driver.reclaim(new Set())).toBe(0);
  await world.close();
});
