import { chmod, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { release } from "node:os";
import { join } from "node:path";
import { spawn } from "@mags/kit";
import { type Mags, MagsError } from "@mags/sdk";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { Daemon, freePorts, untilEmpty } from "../harness/daemon.ts";

/** Emulated machines share few processors with all other tests. */
const PATIENCE_MS = 240_000;
vi.setConfig({ testTimeout: 300_000 });

/** Whole jobs in virtual machines, under software emulation where the host has no KVM. */
let daemon: Daemon;
let mags: Mags;
let dir: string;
beforeAll(async () => {
  dir = await mkdtemp("/tmp/mags-vms-");
  daemon = await Daemon.start({ MAGS_RUNTIME: "qemu" });
  mags = await daemon.client();
});
afterAll(async () => {
  await daemon.stop();
  // The kernel lets go of a machine's disk a moment after its process.
  await untilEmpty(() => daemon.leftovers(), 20_000).finally(() => daemon.remove());
  await rm(dir, { recursive: true, force: true });
});

const stdoutOf = async (id: string): Promise<string[]> =>
  (await mags.logs(id)).filter((entry) => entry.source === "stdout").map((entry) => entry.message);

/** What a script prints comes from its node, and may be here before the server knows that it has started. */
async function machineOf(id: string): Promise<string> {
  await eventually("the start", async () => (await mags.status(id)).vm_id !== null);
  return (await mags.status(id)).vm_id as string;
}

const eventually = (what: string, check: () => Promise<boolean>) =>
  untilEmpty(async () => ((await check()) ? [] : [what]), PATIENCE_MS);

test("a job runs in a machine with a kernel of its own", async () => {
  const result = await mags.runAndWait("uname -r; id -u; hostname; echo err >&2; exit 7");
  expect(result).toMatchObject({ status: "completed", exitCode: 7, stderr: "err\n" });
  const [kernel, id, name] = result.stdout.split("\n");
  expect(kernel).not.toBe(release());
  expect(id).toBe("0");
  const { body } = await daemon.http("GET", `/api/v1/mags-jobs/${result.requestId}/status`);
  expect(body.ran_by).toMatchObject({ driver: "qemu", machine: name, isolation: { level: "vm" } });
});

test("a job may ask for a container on a node that has both", async () => {
  const result = await mags.runAndWait("uname -r", { runtime: "container" });
  expect(result.stdout.trim()).toBe(release());
});

test("what a job writes to its workspace is durable at its end, and there for a machine or container after it", async () => {
  const write = await mags.runAndWait("echo kept >/root/file", { workspaceId: "shared" });
  expect(write).toMatchObject({ status: "completed", error: null });
  expect(write.logs.map(({ message }) => message).join("\n")).toMatch(/workspace shared: version 1 durable in/);
  for (const runtime of ["qemu", "container"] as const)
    expect(await mags.runAndWait("cat /root/file", { workspaceId: "shared", runtime })).toMatchObject({
      error: null,
      stdout: "kept\n",
    });
});

test("a job whose machine did not write all to its workspace in the end says so", async () => {
  // The end holds the disk still, which fails where a script already does.
  const script = "echo lost >/root/file; mount -t devtmpfs none /mnt; mount /mnt/sda /srv; fsfreeze -f /srv; exit 0";
  const { status, exitCode, error } = await mags.runAndWait(script, { workspaceId: "unwritten" });
  expect([status, exitCode]).toEqual(["completed", 0]);
  const why = /^the machine was switched off before all was written in workspace unwritten: box down failed/;
  expect(error).toMatch(why);
  // Also where the end had another reason: then its log has it.
  const late = await mags.runAndWait(script.replace("exit 0", "sleep 1000"), {
    workspaceId: "unwritten-2",
    timeout: 10,
  });
  expect(late.error).toContain("limit of 10 s");
  expect(late.logs.map(({ message }) => message)).toContainEqual(
    expect.stringMatching(why.source.replace("unwritten:", "unwritten-2:")),
  );
});

test("jobs in the machine of another run beside its script, while commands come and go", async () => {
  const script = "until [ -e /root/go ]; do sleep 0.2; done; echo script";
  const { requestId: id } = await mags.run(script, { persistent: true, workspaceId: "beside" });
  await eventually("the machine", async () => (await mags.status(id)).status === "running");
  const jobs = [1, 2, 3].map((number) =>
    mags.runAndWait(`for round in 1 2 3 4; do sleep 0.3; echo ${number}; done`, { workspaceId: "beside" }),
  );
  const commands = Array.from({ length: 20 }, (_, number) => mags.exec(id, `echo ${number}`));
  expect((await Promise.all(commands)).map(({ stdout }) => stdout)).toEqual(commands.map((_, number) => `${number}\n`));
  expect((await Promise.all(jobs)).map(({ stdout }) => stdout)).toEqual(
    ["1\n", "2\n", "3\n"].map((line) => line.repeat(4)),
  );
  await mags.exec(id, "touch /root/go");
  await eventually("the script's end", async () => (await mags.status(id)).exit_code === 0);
  expect(await stdoutOf(id)).toEqual(["script"]);
  await mags.stop(id);
  await mags.wait(id);
});

test("a job in the machine of another whose files cannot be placed ends with the reason, and so does that other when it is stopped", async () => {
  const { requestId: id } = await mags.run("sleep 1000", { persistent: true, workspaceId: "fragile" });
  await eventually("the machine", async () => (await mags.status(id)).status === "running");
  const fileIds = await mags.uploadFiles([{ name: "fragile", data: "abc" }]);
  const parts = join(daemon.dataDir, "objects/objects/orgs/default/files", fileIds[0] as string);
  const [part] = await readdir(parts);
  await writeFile(join(parts, part as string), "abd");
  const result = await mags.runAndWait("echo ran", { workspaceId: "fragile", fileIds });
  expect(result).toMatchObject({ status: "error", stdout: "", error: expect.stringContaining("damaged") });
  await mags.stop(id);
  expect(await mags.wait(id)).toMatchObject({ status: "stopped" });
});

test("the node and the doctor say what sandboxes are, and why", async () => {
  const { nodes } = (await daemon.http("GET", "/api/v1/nodes")).body;
  const because = expect.stringMatching(/^virtual machines (with KVM|under software emulation, because .+)$/);
  expect(nodes[0].runtimes).toEqual({ offered: ["qemu", "container"], default: "qemu", because });
  const checks = JSON.parse((await daemon.cli(["doctor", "--json"])).stdout as string);
  expect(checks).toContainEqual({ name: "sandboxes", state: "ok", found: nodes[0].runtimes.because });
});

test("after kill -9 of the daemon a machine's script, log, URL, commands and SSH go on", async () => {
  const script = `mkdir /www; echo page >/www/index.html; python3 -m http.server 8000 -d /www >/dev/null 2>&1 &
echo before; until [ -e /root/go ]; do sleep 0.2; done; echo after; exit 6`;
  const { requestId: id } = await mags.run(script, { persistent: true });
  const ssh = await sshInto(id);
  const { url } = await mags.url(id, 8000);
  const page = async () => (await spawn("curl", ["-s", "-m", "20", url], { reject: false })).stdout === "page";
  await eventually("the page", page);
  expect((await ssh("echo $$ >/root/pid; hostname")).stdout).toBe((await mags.status(id)).vm_id);
  await daemon.kill();
  await daemon.start();
  expect(await mags.status(id)).toMatchObject({ status: "running", exit_code: null });
  await eventually("a command in the same machine", () => marked(id));
  const sshAgain = async () => (await ssh("test -s /root/pid && echo the same machine")).stdout === "the same machine";
  await eventually("SSH", sshAgain);
  await eventually("the page again", page);
  await ssh("touch /root/go");
  await eventually("the end of the script", async () => (await mags.status(id)).exit_code === 6);
  expect(await stdoutOf(id)).toEqual(["before", "after"]);
  await mags.stop(id);
  await mags.wait(id);
});

describe.concurrent("a job is an error with the reason, and the next one runs,", () => {
  /** A job that runs, in a machine of which nothing is left afterwards. */
  async function victim(workspaceId?: string) {
    const { requestId } = await mags.run("echo up; sleep 1000", {
      timeout: 600,
      ...(workspaceId && { workspaceId, persistent: true }),
    });
    await eventually("the script", async () => (await stdoutOf(requestId)).length > 0);
    return { requestId, machine: await machineOf(requestId) };
  }

  test("where its QEMU was killed", async () => {
    const { requestId, machine } = await victim();
    await daemon.killSandbox(machine);
    const job = await mags.wait(requestId);
    expect(job).toMatchObject({ status: "error", reason: "machine_ended" });
    expect(job.error).toContain("QEMU ended with exit code 137");
    expect((await mags.runAndWait("echo next")).stdout).toBe("next\n");
    await eventually("the machine gone", async () => !(await daemon.sandboxes()).includes(machine));
  });

  test("where its QEMU says nothing any more, and so are the jobs of others that run in it", async () => {
    const { requestId, machine } = await victim("silent");
    const inside = async () => {
      const guest = await mags.run("echo up; sleep 1000", { workspaceId: "silent" });
      await eventually("the guest", async () => (await stdoutOf(guest.requestId)).length > 0);
      expect(await machineOf(guest.requestId)).toBe(machine);
      return guest.requestId;
    };
    const [guest, stopped] = [await inside(), await inside()];
    await daemon.killSandbox(machine, "SIGSTOP");
    await mags.stop(stopped);
    const job = await mags.wait(requestId);
    expect(job).toMatchObject({ status: "error", reason: "machine_ended" });
    // Whoever notices it first: the monitor, or the connection that the script runs over.
    expect(job.error).toMatch(/not answered for 30 s|not reached/);
    expect(await mags.wait(guest)).toMatchObject({ status: "error", reason: "machine_ended" });
    expect(await mags.wait(stopped)).toMatchObject({ status: "stopped" });
    await eventually("the machine gone", async () => !(await daemon.sandboxes()).includes(machine));
  });

  test("where its kernel panicked", async () => {
    const panic = "echo up; mount -o remount,rw /sys; mount -t proc proc /mnt; echo c >/mnt/sysrq-trigger; sleep 1000";
    const { requestId } = await mags.run(panic, { timeout: 600 });
    const job = await mags.wait(requestId);
    expect(job).toMatchObject({ status: "error", reason: "machine_ended" });
    expect(job.error).toContain("its kernel panicked");
  });
});

test("machines of the pool that were killed are replaced", async () => {
  const waiting = async () => (await mags.poolStatus()).idle_vms > 0;
  await eventually("a machine that waits", waiting);
  const before = await daemon.sandboxes();
  for (const machine of before) await daemon.killSandbox(machine);
  // One may be handed out in the moment of its death.
  await eventually("a job", async () => (await mags.runAndWait("echo next")).stdout === "next\n");
  await eventually("the dead machines gone", async () => {
    const now = await daemon.sandboxes();
    return !before.some((machine) => now.includes(machine));
  });
  await eventually("another machine that waits", waiting);
});

test("where QEMU is missing, a start that wants machines says so", async () => {
  const without = join(dir, "bin");
  await mkdir(without);
  for (const place of ["/usr/sbin", "/usr/bin", "/sbin", "/bin"])
    for (const name of await readdir(place))
      if (!name.startsWith("qemu-system")) await symlink(join(place, name), join(without, name)).catch(() => undefined);
  const [own, apps, ssh] = (await freePorts(3)).map((port) => `127.0.0.1:${port}`);
  const listen = { MAGS_LISTEN: own, MAGS_APPS_LISTEN: apps, MAGS_SSH_LISTEN: ssh };
  const result = await spawn(process.execPath, ["magsd/src/main.ts"], {
    cwd: join(import.meta.dirname, "../.."),
    env: { ...daemon.env, ...listen, MAGS_DATA_DIR: join(dir, "data"), PATH: without },
    reject: false,
    timeout: 60_000,
  });
  expect(result.exitCode).toBe(1);
  expect(result.stderr).toContain("QEMU does not run here (apt-get install qemu-system-x86)");
});

/** Whether the machine has what was written; false while the node is not back yet. */
async function marked(id: string): Promise<boolean> {
  try {
    expect(await mags.exec(id, "test -s /root/pid")).toMatchObject({ exitCode: 0 });
    return true;
  } catch (error) {
    if (error instanceof MagsError && error.code === "unavailable") return false;
    throw error;
  }
}

/** OpenSSH to a job through the gateway, by a key of its own. */
async function sshInto(id: string) {
  const { body } = await daemon.http("POST", `/api/v1/mags-jobs/${id}/access`, { port: 22 });
  const key = join(dir, "key");
  await writeFile(key, body.ssh_private_key);
  await chmod(key, 0o600);
  const trust = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"];
  const to = ["-F", "none", "-i", key, ...trust, "-p", String(daemon.sshPort), "root@127.0.0.1"];
  return (command: string) => spawn("ssh", [...to, command], { reject: false, timeout: 60_000 });
}
