import { copyFile, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { readLogs } from "@mags/storage";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { LogCapture } from "../../logs/index.ts";
import type { Disk, Driver, Image, Sandbox } from "../driver.ts";
import { define } from "./representative.ts";
import { sessions } from "./sessions.ts";

/** What a driver's test has to bring: a fresh driver, as a restarted agent would make one, and an image. */
export interface Subject {
  /** a driver over the same state each time it is called */
  open(): Promise<Driver>;
  image(): Promise<Image>;
  /** a new volume file of 0.2 GiB */
  volume(): Promise<string>;
  close(): Promise<void>;
}

const SIZE = { vcpus: 1, memoryMb: 128, diskGb: 0.2 };

/** What every driver must do. A difference between drivers belongs into docs/limitations.md. */
export function conformance(name: string, subject: Subject, all = true): void {
  const test = define(all);
  describe(`the ${name} driver`, () => {
    let driver: Driver;
    let image: Image;
    const directories: string[] = [];

    beforeAll(async () => {
      driver = await subject.open();
      image = await subject.image();
    });
    afterAll(async () => {
      await driver.reclaim(new Set());
      await subject.close();
      for (const directory of directories) await rm(directory, { recursive: true, force: true });
    });

    /** Starts a script; `finish` waits for its end and answers what it printed. */
    async function start(sandbox: Sandbox, script: string, env: Record<string, string> = {}, user?: string) {
      const directory = await mkdtemp("/tmp/mags-conformance-");
      directories.push(directory);
      const log = LogCapture.open({ dir: directory, limitBytes: 1e6 });
      const name = `script-${basename(directory)}`;
      await sandbox.place(name, script);
      const command = await sandbox.exec({
        directory,
        argv: ["/bin/sh", `/run/mags/${name}`],
        env: { PATH: "/usr/bin:/bin", ...env },
        user,
        token: "1",
        stdoutFifo: log.stdoutFifo,
        stderrFifo: log.stderrFifo,
      });
      const finish = async () => {
        const end = await command.end;
        log.finish({ status: "", exit_code: null, signal: null, reason: null });
        await command.release();
        log.close();
        const { logs } = await readLogs({ dir: directory });
        const text = (source: string) => logs.filter((entry) => entry.source === source).map((entry) => entry.message);
        return { end, stdout: text("stdout"), stderr: text("stderr") };
      };
      return { directory, finish };
    }

    async function inSandbox<T>(
      action: (sandbox: Sandbox) => Promise<T>,
      disk?: Disk,
      config: Partial<Image["config"]> = {},
    ): Promise<T> {
      const sandbox = await driver.create({ ...image, config: { ...image.config, ...config } }, SIZE, disk);
      try {
        return await action(sandbox);
      } finally {
        await sandbox.destroy();
      }
    }

    test("keeps stdout and stderr apart and the exit code", () =>
      inSandbox(async (sandbox) => {
        const result = await (await start(sandbox, "echo out; echo err >&2; exit 7")).finish();
        expect(result).toEqual({ end: { exitCode: 7 }, stdout: ["out"], stderr: ["err"] });
      }));

    test("runs as root at home, with root's environment, the given one and no other", () =>
      inSandbox(async (sandbox) => {
        const result = await (await start(sandbox, "id -u; pwd; env | grep -v ^PWD= | sort", { A: "1 2" })).finish();
        expect(result.stdout.filter((line) => !/^(_|OLDPWD|SHLVL)=/.test(line))).toEqual([
          "0",
          "/root",
          "A=1 2",
          "HOME=/root",
          "LOGNAME=root",
          "PATH=/usr/bin:/bin",
          "SHELL=/bin/sh",
          "USER=root",
        ]);
      }));

    test("runs as the user that the image names, at that user's home, and hands what it places to that user", () =>
      inSandbox(
        async (sandbox) => {
          const look = 'id -un; id -gn; pwd; echo "$HOME $USER"; touch /etc/x 2>/dev/null || echo refused';
          const result = await (await start(sandbox, look, {}, "daemon")).finish();
          expect(result.stdout).toEqual(["daemon", "daemon", "/usr/sbin", "/usr/sbin daemon", "refused"]);
        },
        undefined,
        { user: "daemon" },
      ));

    test("another user may open the streams of a command by name", () =>
      inSandbox(
        async (sandbox) => {
          const result = await (
            await start(sandbox, "echo out >/dev/stdout; echo err >/dev/stderr", {}, "daemon")
          ).finish();
          expect(result).toEqual({ end: { exitCode: 0 }, stdout: ["out"], stderr: ["err"] });
        },
        undefined,
        { user: "daemon" },
      ));

    test("reports a signal as 128 and its number", () =>
      inSandbox(async (sandbox) => {
        expect((await (await start(sandbox, "kill -TERM $$")).finish()).end).toEqual({ exitCode: 143 });
      }));

    test("runs several commands in one sandbox, which share its files", () =>
      inSandbox(async (sandbox) => {
        await (await start(sandbox, "echo kept >/root/file")).finish();
        expect((await (await start(sandbox, "cat /root/file")).finish()).stdout).toEqual(["kept"]);
      }));

    test("starts every sandbox from the clean image", async () => {
      await inSandbox(async (sandbox) => (await start(sandbox, "touch /root/trace /usr/bin/trace")).finish());
      const result = await inSandbox(async (sandbox) =>
        (await start(sandbox, "ls /root/trace /usr/bin/trace")).finish(),
      );
      expect(result.stdout).toEqual([]);
      await expect(readFile(join(image.rootfs, "root/trace"))).rejects.toThrow("ENOENT");
    });

    test("a kept disk has what earlier sandboxes wrote to it, whoever owns it, and stays", async () => {
      const disk = { kept: await subject.volume() };
      const write = "umask 022; echo data >/srv/file; chown 1000:1000 /srv/file; rm /etc/hostname; ln -s a /srv/link";
      await inSandbox(async (sandbox) => (await start(sandbox, write)).finish(), disk);
      const look = "stat -c '%u %g %a' /srv/file; cat /srv/file; readlink /srv/link; ls /etc/hostname 2>&1 | wc -l";
      const result = await inSandbox(
        async (sandbox) => (await start(sandbox, `${look}; [ -e /etc/hostname ] || echo removed`)).finish(),
        disk,
      );
      expect(result.stdout).toEqual(["1000 1000 644", "data", "a", "1", "removed"]);
      await rm(disk.kept);
    });

    test("a kept disk is the same for a sandbox that a new agent process finds", async () => {
      const kept = await subject.volume();
      const sandbox = await driver.create(image, SIZE, { kept });
      const { directory, finish } = await start(sandbox, "echo before >/srv/file; sleep 1; cat /srv/file");
      driver = await subject.open();
      const adopted = (await driver.adopt(sandbox.id)) as Sandbox;
      if (adopted.mountedAt !== undefined) {
        await expect
          .poll(() => readFile(join(adopted.mountedAt as string, "upper/srv/file"), "utf8").catch(() => ""))
          .toBe("before\n");
      }
      await adopted.adoptExec(directory).end;
      expect((await finish()).stdout).toEqual(["before"]);
      await adopted.destroy();
      expect((await readFile(kept)).length).toBeGreaterThan(0);
      await rm(kept);
    });

    test("a disk of its own can be made from something", async () => {
      const kept = await subject.volume();
      await inSandbox(async (sandbox) => (await start(sandbox, "echo base >/srv/file")).finish(), { kept });
      const make = (path: string) => copyFile(kept, path);
      const change = "cat /srv/file; echo other >/srv/file";
      for (let round = 0; round < 2; round++) {
        const result = await inSandbox(async (sandbox) => (await start(sandbox, change)).finish(), { make });
        expect(result.stdout).toEqual(["base"]);
      }
      await rm(kept);
    });

    test("killCommand ends what a command has started, also in sessions of their own, and nothing else", () =>
      inSandbox(async (sandbox) => {
        const other = await start(sandbox, "sleep 1.5; echo survived");
        const script = "setsid sleep 1000 & (setsid sh -c 'sleep 1000 & sleep 1000' &) ; sleep 1000";
        const { directory, finish } = await start(sandbox, script, { MARK: "it" });
        await new Promise((resolve) => setTimeout(resolve, 300));
        await sandbox.killCommand(directory, "MARK=it");
        expect((await finish()).end).toEqual({ exitCode: 137 });
        expect((await other.finish()).stdout).toEqual(["survived"]);
        const left = await (await start(sandbox, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")).finish();
        expect(left.stdout.join()).not.toContain("sleep 1000");
      }));

    test("killCommand does nothing where the command has ended or was never begun", () =>
      inSandbox(async (sandbox) => {
        const { directory, finish } = await start(sandbox, "exit 3");
        expect((await finish()).end).toEqual({ exitCode: 3 });
        await sandbox.killCommand(directory, "MARK=it");
        await sandbox.killCommand(join(directory, "never"), "MARK=it");
      }));

    test("holds the limits of disk, memory and CPU", () =>
      inSandbox(async (sandbox) => {
        const disk = await (await start(sandbox, "dd if=/dev/zero of=/root/x bs=1M count=300")).finish();
        expect(disk.stderr.join()).toContain("No space left");
        expect(await sandbox.oomKills()).toBe(0);
        const memory = await (await start(sandbox, 'exec python3 -c "x = bytearray(400 << 20)"')).finish();
        expect(memory.end).toEqual({ exitCode: 137 });
        expect(await sandbox.oomKills()).toBeGreaterThan(0);
      }));

    test("kill ends every process, also one that ignores signals", () =>
      inSandbox(async (sandbox) => {
        const { finish } = await start(sandbox, "trap '' TERM INT HUP; (trap '' TERM; sleep 1000)& sleep 1000");
        await new Promise((resolve) => setTimeout(resolve, 200));
        await sandbox.kill();
        expect((await finish()).end).toEqual({ exitCode: 137 });
      }));

    test("a sandbox and its command are found again by a new agent process", async () => {
      const sandbox = await driver.create(image, SIZE);
      const { directory, finish } = await start(sandbox, "sleep 1; echo later; exit 4");
      const successor = await subject.open();
      const adopted = await successor.adopt(sandbox.id);
      expect(adopted?.id).toBe(sandbox.id);
      expect(await adopted?.adoptExec(directory).end).toEqual({ exitCode: 4 });
      expect((await finish()).stdout).toEqual(["later"]);
      await adopted?.destroy();
      expect(await successor.adopt(sandbox.id)).toBeUndefined();
      driver = successor;
    });

    test("destroy may be called twice, and reclaim then finds nothing", async () => {
      const sandbox = await driver.create(image, SIZE);
      await sandbox.destroy();
      await sandbox.destroy();
      expect(await driver.reclaim(new Set())).toBe(0);
    });

    test("reclaim removes what nobody keeps and spares what somebody does", async () => {
      const [kept, lost] = [await driver.create(image, SIZE), await driver.create(image, SIZE)];
      driver = await subject.open();
      const adopted = await driver.adopt(kept.id);
      expect(await driver.reclaim(new Set([kept.id]))).toBeGreaterThan(0);
      expect(await driver.adopt(lost.id)).toBeUndefined();
      expect((await (await start(adopted as Sandbox, "echo alive")).finish()).stdout).toEqual(["alive"]);
      await adopted?.destroy();
    });

    test("a command that cannot be started says so", () =>
      inSandbox(async (sandbox) => {
        const directory = await mkdtemp("/tmp/mags-conformance-");
        directories.push(directory);
        const log = LogCapture.open({ dir: directory, limitBytes: 1e6 });
        const { stdoutFifo, stderrFifo } = log;
        const { end, release } = await sandbox.exec({
          directory,
          argv: ["/no/such/program"],
          env: {},
          cwd: "/",
          token: "1",
          stdoutFifo,
          stderrFifo,
        });
        expect(await end).toMatchObject({ failed: "start_failed" });
        await release();
        log.close();
        expect(await readdir(directory)).toContain("exit");
      }));

    test("a session of a killed agent ends when the sandbox is found again", async () => {
      const sandbox = await driver.create(image, SIZE);
      const session = await sandbox.open({ argv: ["/bin/sleep", "1004"], env: {} });
      await session.kill("SIGCONT");
      const adopted = await (await subject.open()).adopt(sandbox.id);
      await session.exit;
      await adopted?.destroy();
    });

    sessions(inSandbox, test);
  });
}
