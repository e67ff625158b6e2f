/** What the root of a virtual machine may do to it, and what the host, the node and the next job notice of that: nothing but its end. */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Mags } from "@mags/sdk";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Daemon, untilEmpty } from "../harness/daemon.ts";
import { finished, output, start, until } from "../harness/workspaces.ts";

const wholeSuite = process.env.MAGS_WHOLE_SUITE === "1";
const MiB = 1024 ** 2;
/** Leaves the sandbox for what is below it in the machine, where the machine's keys and programs are. */
const OUT = `mount -t proc proc /mnt 2>/dev/null; python3 - <<'END'
import ctypes, os
libc = ctypes.CDLL(None)
space = os.open("/proc/self/ns/mnt", os.O_RDONLY)
libc.umount2(b"/", 2); libc.setns(space, 0)
`;

let daemon: Daemon;
let mags: Mags;
beforeAll(async () => {
  // More than any host has.
  daemon = await Daemon.start({
    MAGS_RUNTIME: "qemu",
    MAGS_MEMORY_MB: String(512 * 1024),
    MAGS_LOG_LIMIT_BYTES: String(MiB),
  });
  mags = await daemon.client();
});
afterAll(async () => {
  await daemon.stop();
  const left = await daemon.leftovers();
  await daemon.remove();
  expect(left).toEqual([]);
});

const job = (script: string, fields: object = {}) => start(daemon, { script, timeout: 600, disk_gb: 0.2, ...fields });
const outcome = async (script: string, fields: object = {}) => finished(daemon, await job(script, fields), 300);
const nextRuns = async () => expect((await mags.runAndWait("echo next", { timeout: 600 })).stdout).toBe("next\n");

/** Only what waits in the pool is there. */
const allRemoved = () =>
  untilEmpty(async () => {
    const { busy_vms } = await mags.poolStatus();
    return busy_vms === 0 ? [] : [`${busy_vms} busy`];
  }, 120_000);

/** Bytes of the files that the host has for its machines, on a file system in memory. */
async function keptOnHost(): Promise<number> {
  const { createHash } = await import("node:crypto");
  const instance = createHash("sha256").update(daemon.dataDir).digest("hex").slice(0, 8);
  const root = join("/run/mags", `${instance}-vm`, "sandboxes");
  const files = (await readdir(root, { recursive: true, withFileTypes: true })).filter(
    (entry) => entry.isFile() && !["disk", "memory"].includes(entry.name),
  );
  const sizes = await Promise.all(
    files.map(({ parentPath, name }) =>
      stat(join(parentPath, name)).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

test("one that fills its disk, eats its memory and floods its console and its log ends as any other", async () => {
  const script = `cat /dev/zero >/root/big; echo full; rm /root/big
python3 -c "x = bytearray(10**9)"; echo "eaten: $?"
mknod /root/console c 4 64; timeout 5 cat /dev/zero >/root/console; echo flooded
head -c 3M /dev/zero | tr '\\0' '\\n'; echo unseen`;
  const { id, status, exit_code, log_truncated } = await outcome(script, { memory_mb: 128 });
  expect({ status, exit_code, log_truncated }).toEqual({ status: "completed", exit_code: 0, log_truncated: true });
  const { stdout, stderr } = await output(daemon, id);
  expect(stdout.slice(0, 3)).toEqual(["full", "eaten: 137", "flooded"]);
  expect(stderr.join()).toContain("No space left");
  expect(await keptOnHost()).toBeLessThan(4 * MiB);
  await nextRuns();
});

test("one that takes its keys and its SSH server away keeps no agent from starting, and can be stopped", async () => {
  const sabotage = `${OUT}
for path in ("/root/.ssh/authorized_keys", "/etc/dropbear/key", "/bin/dropbear", "/sbin/enter"):
  os.remove(path); print("removed", path, flush=True)
END`;
  const id = await job(sabotage, { persistent: true, workspace_id: "sabotaged" });
  const ran = await until(daemon, id, ({ exit_code }) => exit_code !== null, 300);
  expect(ran).toMatchObject({ exit_code: 0, stdout: expect.arrayContaining(["removed /bin/dropbear"]) });
  await daemon.kill();
  await daemon.start();
  await nextRuns();
  await mags.stop(id);
  expect(await finished(daemon, id, 300)).toMatchObject({ status: "stopped" });
  await allRemoved();
});

test("what it left on its disk is nothing to a container that goes on with the workspace", async () => {
  const script = `mknod -m 666 /root/disk b 7 0; mknod -m 666 /root/null c 1 3; echo kept >/root/file
cp /bin/sh /root/sh; chmod 4755 /root/sh; echo made`;
  expect(await outcome(script, { workspace_id: "shared" })).toMatchObject({ status: "completed", stdout: ["made"] });
  const look = `cat /root/file; for node in disk null; do head -c 1 /root/$node >/dev/null 2>&1 && echo "opened $node"; done; echo end`;
  const seen = await outcome(look, { workspace_id: "shared", runtime: "container" });
  expect(seen).toMatchObject({ status: "completed", stdout: ["kept", "end"] });
});

test("one whose disk is no file system any more ends with the reason, and its versions stay", async () => {
  const fields = { workspace_id: "wiped" };
  expect(await outcome("echo good >/root/file", fields)).toMatchObject({ status: "completed" });
  const wipe = "mknod /dev/raw b 8 0; head -c 150M /dev/urandom >/dev/raw; echo wiped";
  expect((await outcome(wipe, fields)).stdout).toEqual(["wiped"]);
  const refused = await outcome("cat /root/file", { ...fields, runtime: "container" });
  expect(refused).toMatchObject({ status: "error", reason: "start_failed" });
  expect(refused.error).toMatch(/file system is damaged/);
  const old = await outcome("cat /root/file", { base_workspace_id: "wiped@1", runtime: "container" });
  expect(old).toMatchObject({ status: "completed", stdout: ["good"] });
});

test("one that asks for more memory than the host has is an error that says so", async () => {
  const ran = await outcome("true", { memory_mb: 256 * 1024 });
  expect(ran).toMatchObject({ status: "error", reason: "start_failed" });
  expect(ran.error).toMatch(/this host has \d+ MiB/);
  await nextRuns();
});

describe.runIf(wholeSuite)("one that ends itself is an error with the reason:", () => {
  test.each([
    ["reboots", "b", /switched off from inside/],
    ["switches itself off", "o", /the machine ended/],
    ["kills all of its processes, its SSH server among them", "i", /machine/],
  ])("it %s", async (_, key, message) => {
    const ran = await outcome(`mount -t proc proc /mnt; echo ${key} >/mnt/sysrq-trigger; sleep 1000`);
    expect(ran).toMatchObject({ status: "error", reason: "machine_ended" });
    expect(ran.error).toMatch(message);
    await nextRuns();
  });

  test("it takes its network down", async () => {
    const ran = await outcome("/dev/busybox ip link set eth0 down; sleep 1000");
    expect(ran).toMatchObject({ status: "error", reason: "machine_ended" });
    await nextRuns();
  });
});

test.runIf(wholeSuite)("one that floods the network takes nothing of others", async () => {
  const flood = `python3 - <<'END'
import socket, time
line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
end = time.time() + 30
while time.time() < end:
  for port in range(1, 1000):
    try: line.sendto(b"x" * 1400, ("192.0.2.1", port))
    except OSError: pass
END
echo flooded`;
  const flooding = outcome(flood);
  await nextRuns();
  expect((await flooding).stdout).toEqual(["flooded"]);
});
