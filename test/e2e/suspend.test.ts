/** Machines that sleep with their memory: what ran goes on, and where it cannot the machine starts anew on the same disk. */
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { createLogger, run } from "@mags/kit";
import type { Mags } from "@mags/sdk";
import { ReflinkStore } from "@mags/storage";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { Daemon, untilEmpty } from "../harness/daemon.ts";
import { output, start, until } from "../harness/workspaces.ts";

/** A process that knows something which is written nowhere, and prints while it goes on. */
const SCRIPT = `cat >/root/memory.py <<'END'
import os, socket, threading, time
secret = os.urandom(8).hex()
def talk():
  while True:
    print("still here", flush=True)
    time.sleep(0.2)
threading.Thread(target=talk, daemon=True).start()
server = socket.create_server(("127.0.0.1", 7000))
while True:
  line, _ = server.accept()
  line.sendall(f"{secret} {os.getpid()} {time.time()}\\n".encode())
  line.close()
END
python3 /root/memory.py &
until ask; do sleep 0.2; done`.replace(
  "ask",
  'python3 -c "import socket; socket.create_connection((\\"127.0.0.1\\", 7000))" 2>/dev/null',
);
const ASK = `python3 -c 'import socket; print(socket.create_connection(("127.0.0.1", 7000)).recv(100).decode(), end="")'`;

/** An address of the host that machines may reach. */
const OUTSIDE = "10.98.77.1";

// Machines start many times, under emulation.
vi.setConfig({ testTimeout: 600_000 });

let daemon: Daemon;
let mags: Mags;
const outside = createServer((request, response) => response.end(request.socket.remoteAddress));
beforeAll(async () => {
  await run("ip", ["address", "replace", `${OUTSIDE}/32`, "dev", "lo"]);
  await new Promise<void>((listening) => outside.listen(0, OUTSIDE, listening));
  const { port } = outside.address() as AddressInfo;
  const env = { MAGS_EGRESS_ALLOW: `${OUTSIDE}:${port}`, MAGS_POOL_MIN: "0", MAGS_POOL_MAX: "1" };
  daemon = await Daemon.start({ MAGS_RUNTIME: "qemu", ...env });
  mags = await daemon.client();
});
afterAll(async () => {
  const { jobs } = await mags.list({ pageSize: 100 });
  for (const { request_id } of jobs) await mags.stop(request_id).catch(() => undefined);
  await untilEmpty(async () => ((await mags.poolStatus()).busy_vms === 0 ? [] : ["busy machines"]));
  await daemon.stop();
  const left = await daemon.leftovers();
  await daemon.remove();
  outside.close();
  await run("ip", ["address", "delete", `${OUTSIDE}/32`, "dev", "lo"]);
  expect(left).toEqual([]);
});

async function begin(name: string): Promise<string> {
  const fields = { workspace_id: name, persistent: true, sleep: "suspend", disk_gb: 0.3, memory_mb: 128 };
  const id = await start(daemon, { script: SCRIPT, startup_command: "touch /root/started-anew", ...fields });
  await until(daemon, id, ({ exit_code }) => exit_code === 0, 300);
  return id;
}

async function sleep(id: string): Promise<void> {
  await mags.sleep(id);
  await until(daemon, id, ({ status }) => status === "sleeping", 300);
}

async function ask(id: string): Promise<{ secret: string; pid: string; clock: number }> {
  const { stdout, stderr } = await mags.exec(id, ASK);
  const [secret, pid, clock] = stdout.trim().split(" ");
  if (!secret || !pid) throw new Error(`nobody answered: ${stderr} ${await systemLines(id)}`);
  return { secret, pid, clock: Number(clock) };
}

/** What a machine has as its address, where it reaches the host from it. */
async function addressOf(id: string): Promise<string> {
  const url = `http://${OUTSIDE}:${(outside.address() as AddressInfo).port}`;
  const get = `python3 -c 'from urllib.request import urlopen; urlopen("${url}", timeout=10); print("there")'`;
  const { stdout, stderr } = await mags.exec(id, `${get}; grep -o "|-- [0-9.]*" /proc/net/fib_trie; true`);
  expect(stdout, stderr).toContain("there");
  const [address] = /(?<=-- )(10|172|100|192)\.[\d.]+/.exec(stdout) ?? [];
  if (!address) throw new Error(`no address: ${stdout}`);
  return address;
}

/** Kills the agent with signal 9 at the moment when this comes true. */
async function killWhen(true_: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 60_000; !(await true_()); )
    if (Date.now() > deadline) throw new Error("that moment did not come");
  await daemon.kill();
}

/** A machine is being taken up from what was saved of it. */
async function resumes(): Promise<boolean> {
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    if (command.startsWith("qemu") && command.includes(daemon.instance) && command.includes("-incoming")) return true;
  }
  return false;
}

/** What is in the store for machines that sleep. */
async function kept<T>(work: (dir: string) => Promise<T>): Promise<T> {
  const store = await ReflinkStore.open({ dir: join(daemon.dataDir, "agent/store"), logger: createLogger("silent") });
  try {
    return await work(join(store.path, "suspended"));
  } finally {
    await store.close();
  }
}

const suspended = () => kept((dir) => readdir(dir));
const systemLines = async (id: string) => (await output(daemon, id)).system.join("\n");

test("a process goes on after sleep and wake, with the time, a network, random numbers and a disk that are right", async () => {
  const id = await begin("remembers");
  const before = await ask(id);
  await mags.exec(id, "echo on disk >/root/file; echo $$ >/root/boot; cat /proc/sys/kernel/random/boot_id >/root/boot");
  await mags.exec(id, "sleep 1234 </dev/null >/dev/null 2>&1 &");
  const cutOff = mags.exec(id, "sleep 4321").catch((error: Error) => error);
  const random = (await mags.exec(id, "od -An -N16 -tx1 /dev/urandom")).stdout;
  await addressOf(id);
  await sleep(id);
  await cutOff;
  await kept(async (dir) => {
    expect(await readdir(dir)).toEqual([id]);
    const { mode } = await stat(join(dir, id, "state"));
    expect([mode & 0o777, (await stat(join(dir, id))).mode & 0o777]).toEqual([0o600, 0o700]);
  });
  expect(await mags.poolStatus()).toMatchObject({ busy_vms: 0 });
  const neighbour = await begin("neighbour");
  const after = await ask(id);
  expect([after.secret, after.pid]).toEqual([before.secret, before.pid]);
  expect(Math.abs(after.clock - Date.now() / 1000)).toBeLessThan(30);
  expect((await mags.exec(id, "cat /root/file; ls /root/started-anew 2>/dev/null")).stdout).toBe("on disk\n");
  expect((await mags.exec(id, "cmp /root/boot /proc/sys/kernel/random/boot_id && echo the same")).stdout).toBe(
    "the same\n",
  );
  expect((await mags.exec(id, "od -An -N16 -tx1 /dev/urandom")).stdout).not.toBe(random);
  expect(new Set([await addressOf(id), await addressOf(neighbour), await addressOf(id)]).size).toBe(2);
  await mags.stop(neighbour);
  const sleeps =
    "for at in /proc/[0-9]*; do tr '\\0' ' ' <$at/cmdline 2>/dev/null; echo; done | grep '^sleep [0-9]\\{4\\}'";
  expect((await mags.exec(id, sleeps)).stdout).toBe("sleep 1234 \n");
  expect(await systemLines(id)).toContain("its processes go on where they were");
  expect(await suspended()).toEqual([]);
  // Once more, over the death of the agent.
  await sleep(id);
  await daemon.kill();
  await daemon.start();
  expect((await ask(id)).secret).toBe(before.secret);
  await mags.exec(id, "echo more >>/root/file; sync");
  await sleep(id);
  await mags.stop(id);
  await untilEmpty(suspended);
  const look = await mags.runAndWait("cat /root/file", { workspaceId: "remembers", runtime: "container" });
  expect(look.stdout).toBe("on disk\nmore\n");
});

test("a process goes on after kill -9 of the agent while its machine is saved, and while it is taken up", async () => {
  const id = await begin("killed");
  const { secret } = await ask(id);
  await mags.exec(id, "echo on disk >/root/file; sync");
  const falling = mags.sleep(id).catch(() => undefined);
  await kept((dir) =>
    killWhen(async () => (await stat(join(dir, `making-${id}`, "state")).catch(() => undefined)) !== undefined),
  );
  await falling;
  await daemon.start();
  await until(daemon, id, ({ status }) => status === "sleeping", 300);
  expect(await suspended()).toEqual([id]);
  const waking = ask(id).catch(() => undefined);
  await killWhen(resumes);
  await waking;
  await daemon.start();
  expect((await ask(id)).secret).toBe(secret);
  expect((await mags.exec(id, "cat /root/file; ls /root/started-anew 2>/dev/null")).stdout).toBe("on disk\n");
  expect(await suspended()).toEqual([]);
  await mags.stop(id);
  await mags.wait(id);
});

test("saved memory that is damaged, or of a disk that was given another size, is not used, and it is said", async () => {
  const id = await begin("forgets");
  const { secret } = await ask(id);
  await mags.exec(id, "echo on disk >/root/file");
  await sleep(id);
  await kept((dir) => writeFile(join(dir, id, "state"), Buffer.alloc(4096, 1), { flag: "r+" }));
  expect((await mags.exec(id, "cat /root/file; ls /root/started-anew")).stdout).toBe("on disk\n/root/started-anew\n");
  await expect(ask(id)).rejects.toThrow("nobody answered");
  expect(await systemLines(id)).toContain("its saved memory is damaged");
  expect(await suspended()).toEqual([]);
  expect(secret).not.toBe("");
  await sleep(id);
  await mags.workspaces.resize("forgets", 0.5);
  expect((await mags.exec(id, "cat /root/file")).stdout).toBe("on disk\n");
  expect(await systemLines(id)).toContain("its disk has another size by now");
  expect(await suspended()).toEqual([]);
  await mags.stop(id);
  await mags.wait(id);
});

test("it is refused where it cannot be", async () => {
  const refused = (fields: object) => start(daemon, { script: "true", sleep: "suspend", ...fields });
  await expect(refused({})).rejects.toThrow("sleep suspend needs persistent: true");
  await expect(refused({ persistent: true, runtime: "container" })).rejects.toThrow(
    "sleep suspend needs a virtual machine",
  );
});
