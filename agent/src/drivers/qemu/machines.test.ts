/** What is particular to virtual machines: that two never share what must be one's own, and what becomes of broken ones. */
import { copyFile, mkdir, mkdtemp, open, readdir, readFile, rm, stat, statfs } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import { createLogger, mountImage, run, unmount } from "@mags/kit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readImage } from "../../images/index.ts";
import { LogCapture } from "../../logs/index.ts";
import { Pool } from "../../pool/pool.ts";
import { membersOf } from "../../sandbox/cgroups.ts";
import type { Sandbox } from "../../sandbox/driver.ts";
import { imageDir } from "../../sandbox/testing/config.ts";
import type { QemuDriver } from "./index.ts";
import type { QemuSandbox } from "./sandbox.ts";
import { openTestDrivers } from "./testing.ts";

const SIZE = { vcpus: 1, memoryMb: 128, diskGb: 0.2 };
const drivers = await openTestDrivers();
let driver: QemuDriver;
beforeAll(async () => {
  driver = await drivers.open();
});
afterAll(async () => {
  await driver.reclaim(new Set());
  await drivers.close();
});

const create = async () => (await driver.create(await readImage(imageDir, "base"), SIZE)) as QemuSandbox;

async function inside(sandbox: Sandbox, command: string): Promise<string> {
  const session = await sandbox.open({ argv: ["/bin/sh", "-c", command], env: { PATH: "/usr/sbin:/usr/bin:/bin" } });
  session.stdin.end();
  const [stdout] = await Promise.all([text(session.stdout), session.exit]);
  return stdout.trim();
}

async function destroyed<T>(sandboxes: Sandbox[], action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } finally {
    for (const sandbox of sandboxes) await sandbox.destroy();
  }
}

/** The process of QEMU itself, which the supervisor has started. */
async function qemuOf(cgroupsPath: string): Promise<number> {
  for (const pid of await membersOf(cgroupsPath)) {
    if ((await readFile(`/proc/${pid}/comm`, "utf8").catch(() => "")).startsWith("qemu")) return pid;
  }
  throw new Error("the machine has no QEMU");
}

test("machines that begin with the same saved state share nothing that must be one's own", async () => {
  const sandboxes = [await create(), await create()];
  await destroyed(sandboxes, async () => {
    const facts: Record<string, string> = {
      "kernel's random numbers": "od -An -N32 -tx1 /dev/urandom",
      "random numbers of getrandom": "python3 -c 'import os; print(os.getrandom(32).hex())'",
      "boot id": "cat /proc/sys/kernel/random/boot_id",
      "machine id": "cat /etc/machine-id",
      hostname: "hostname",
      MAC: "cat /sys/class/net/eth0/address",
      address: "ip -o -4 addr show dev eth0 | cut -d' ' -f7",
      "layout of memory": "cat /proc/self/maps | head -1",
    };
    for (const [what, command] of Object.entries(facts)) {
      const [a, b] = await Promise.all(sandboxes.map((sandbox) => inside(sandbox, command)));
      expect([what, a]).not.toEqual([what, ""]);
      expect([what, a]).not.toEqual([what, b]);
    }
    expect(sandboxes[0]?.hostKey).not.toBe(sandboxes[1]?.hostKey);
    for (const sandbox of sandboxes) {
      const seconds = Number(await inside(sandbox, "date +%s.%N"));
      expect(Math.abs(seconds - Date.now() / 1000)).toBeLessThan(10);
    }
  });
});

test("a machine has a kernel, a memory and a number of processes of its own", async () => {
  const sandbox = await create();
  await destroyed([sandbox], async () => {
    const host = (await readFile("/proc/sys/kernel/osrelease", "utf8")).trim();
    expect(await inside(sandbox, "uname -r")).not.toBe(host);
    expect(Number(await inside(sandbox, "awk '/MemTotal/ {print $2}' /proc/meminfo"))).toBeLessThan(256 * 1024);
    // QEMU has none of root's powers.
    const status = await readFile(`/proc/${await qemuOf(sandbox.cgroupsPath)}/status`, "utf8");
    expect(status).toMatch(/^CapEff:\s+0+$/m);
    expect(status).toMatch(/^Seccomp:\s+2$/m);
    expect(status).not.toMatch(/^Uid:\s+0/m);
  });
});

test("a panic of its kernel ends a machine, and it is said", async () => {
  const sandbox = await create();
  await destroyed([sandbox], async () => {
    void inside(sandbox, "mount -o remount,rw /sys; mount -t proc p /mnt; echo c >/mnt/sysrq-trigger").catch(
      () => undefined,
    );
    expect(await sandbox.ended).toBe("the machine ended: its kernel panicked");
    expect(sandbox.isRunning()).toBe(false);
  });
});

test("a machine that is switched off from inside has ended", async () => {
  const sandbox = await create();
  await destroyed([sandbox], async () => {
    void inside(sandbox, "kill -9 -1; mount -t proc p /mnt; echo o >/mnt/sysrq-trigger").catch(() => undefined);
    expect(await sandbox.ended).toMatch(/^the machine ended/);
  });
});

test("a machine whose QEMU is killed has ended, and what is asked of it fails at once", async () => {
  const sandbox = await create();
  await destroyed([sandbox], async () => {
    process.kill(await qemuOf(sandbox.cgroupsPath), "SIGKILL");
    expect(await sandbox.ended).toContain("QEMU ended with exit code 137");
    await expect(sandbox.open({ argv: ["/bin/true"], env: {} })).rejects.toThrow("gone");
  });
});

test.each([
  ["before it is handed out", "before"],
  ["while it is given its disk", "during"],
])("a machine of the pool that dies %s is replaced by another", async (_, moment) => {
  const usual = { driver, image: await readImage(imageDir, "base"), size: SIZE };
  const volume = await drivers.volume();
  const waiting = () => readdir(join(drivers.runDir, "sandboxes"));
  const pool = new Pool({ usual, min: 0, max: 2, logger: createLogger("silent") });
  pool.start();
  try {
    // The first that wants a disk of its own makes the pool keep another one ready.
    const asked = await pool.take(usual, { make: (path) => copyFile(volume, path) });
    await expect.poll(() => pool.status().idle_vms, { timeout: 120_000 }).toBe(1);
    await asked.destroy();
    pool.gone();
    const [victim = ""] = await waiting();
    const die = async () => process.kill(await qemuOf(`/mags-${drivers.instance}-vm/${victim}`), "SIGKILL");
    const made: string[] = [];
    const make = async (path: string) => {
      made.push(path);
      if (made.length === 1 && moment === "during") await die();
      await copyFile(volume, path);
    };
    if (moment === "before") await die();
    const sandbox = await pool.take(usual, { make });
    await destroyed([sandbox], async () => {
      if (moment === "during") expect(made[0]).toContain(victim);
      expect(await inside(sandbox, "echo on")).toBe("on");
      expect(made.at(-1)).toContain(sandbox.id);
      expect(pool.status().busy_vms).toBe(1);
    });
  } finally {
    await pool.close();
  }
  // Also what was just being taken away.
  expect(await waiting()).toEqual([]);
});

test("commands that begin while others end all come right, and none breaks off another", async () => {
  const sandbox = await create();
  await destroyed([sandbox], async () => {
    const long = inside(sandbox, "sleep 3; echo long");
    const all = Array.from({ length: 40 }, (_, number) => inside(sandbox, `echo ${number}; sleep 0.${number % 10}`));
    expect(await Promise.all(all)).toEqual(all.map((_, number) => String(number)));
    expect(await long).toBe("long");
    const loops = Array.from({ length: 4 }, async (_, loop) => {
      for (let round = 0; round < 8; round++)
        expect(await inside(sandbox, `echo ${loop} ${round}`)).toBe(`${loop} ${round}`);
    });
    await Promise.all(loops);
  });
});

test("a command that is killed before it has begun in the machine does not begin", async () => {
  const sandbox = await create();
  const directory = await mkdtemp(join(drivers.dir, "killed-"));
  await destroyed([sandbox], async () => {
    const log = LogCapture.open({ dir: directory, limitBytes: 1e6 });
    const { end, release } = await sandbox.exec({
      directory,
      argv: ["/bin/sh", "-c", "touch /root/begun; sleep 1000"],
      env: { PATH: "/usr/bin:/bin" },
      token: "1",
      stdoutFifo: log.stdoutFifo,
      stderrFifo: log.stderrFifo,
    });
    // Its ssh is only just being started, while this goes over a connection that is there.
    await sandbox.killCommand(directory);
    expect(await end).toEqual({ exitCode: 137 });
    await release();
    log.close();
    expect(await inside(sandbox, "ls /root/begun 2>/dev/null")).toBe("");
  });
});

test("a machine that is frozen can be removed", async () => {
  const sandbox = await create();
  process.kill(await qemuOf(sandbox.cgroupsPath), "SIGSTOP");
  await sandbox.destroy();
  expect(await membersOf(sandbox.cgroupsPath)).toEqual([]);
});

test("the disk of a machine grows under a file that is open, and is whole afterwards", async () => {
  const volume = await drivers.volume();
  const sandbox = (await driver.create(await readImage(imageDir, "base"), SIZE, { kept: volume })) as QemuSandbox;
  await destroyed([sandbox], async () => {
    const megabytes = async () => Number(await inside(sandbox, "df -m --output=size / | tail -1"));
    expect(await megabytes()).toBeLessThan(210);
    await inside(sandbox, "exec 3>/root/open; echo before >&3; sleep 600 3>&3 </dev/null >/dev/null 2>&1 &");
    await sandbox.grow(512 * 1024 * 1024);
    expect(await megabytes()).toBeGreaterThan(450);
    expect(await inside(sandbox, "head -c 230M /dev/zero >/root/big && cat /root/open && stat -c %s /root/big")).toBe(
      `before\n${230 * 1024 * 1024}`,
    );
  });
  expect(await run("e2fsck", ["-fn", volume])).toContain("Pass 5");
});

test("a machine whose disk finds no room on the host waits, and goes on when there is some", async () => {
  const [image, small] = [join(drivers.dir, "small.xfs"), join(drivers.dir, "small")];
  await run("truncate", ["-s", "320M", image]);
  await run("mkfs.xfs", ["-q", "-m", "reflink=1", image]);
  await mkdir(small);
  mountImage("xfs", image, small);
  const volume = join(small, "volume");
  await run("cp", ["--sparse=always", await drivers.volume(), volume]);
  const sandbox = (await driver.create(await readImage(imageDir, "base"), SIZE, { kept: volume })) as QemuSandbox;
  try {
    await destroyed([sandbox], async () => {
      await run("fallocate", ["-l", String((await statfs(small)).bavail * 4096 - 4e6), join(small, "filler")]);
      let written = false;
      const command =
        "head -c 30M /dev/urandom >/root/big && sync -f /root/big && stat -c %s /root/big; dmesg | grep -c error";
      const writing = inside(sandbox, command).finally(() => {
        written = true;
      });
      await delay(10_000);
      expect(written).toBe(false);
      await rm(join(small, "filler"));
      expect(await writing).toBe(`${30 * 1024 * 1024}\n0`);
    });
    expect(await run("e2fsck", ["-fn", volume])).toContain("Pass 5");
  } finally {
    unmount(small);
  }
});

test("what QEMU says is kept up to a limit, and it runs on", async () => {
  const sandbox = await create();
  await destroyed([sandbox], async () => {
    const file = await open(`/proc/${await qemuOf(sandbox.cgroupsPath)}/fd/2`, "a");
    for (let line = 0; line < 3000; line++) await file.write(`${"x".repeat(99)}\n`).catch(() => undefined);
    await file.close();
    const log = join(drivers.runDir, "sandboxes", sandbox.id, "qemu.log");
    // Who keeps it reads on while the writer is done already.
    await expect.poll(async () => (await stat(log)).size, { timeout: 30_000 }).toBe(65_536);
    expect(await inside(sandbox, "echo on")).toBe("on");
  });
});

test("a machine larger than the host is refused", async () => {
  const image = await readImage(imageDir, "base");
  await expect(driver.create(image, { ...SIZE, memoryMb: 4 * 1024 ** 2 })).rejects.toThrow(/this host has \d+ MiB/);
});
