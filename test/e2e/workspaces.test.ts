/** What workspaces promise, with a whole Mags. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { run as runCommand } from "@mags/kit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { inMachines } from "../harness/config.ts";
import { Daemon, untilEmpty } from "../harness/daemon.ts";
import { finished, run, start, until } from "../harness/workspaces.ts";

/** linux/capability.h */
const CAP_SYS_RESOURCE = 24n;

let daemon: Daemon;
beforeAll(async () => {
  daemon = await Daemon.start();
});
afterAll(() => daemon.remove());

const job = (workspace_id: string, script: string, more: object = {}) => ({ workspace_id, script, ...more });

/** Makes the wheel of a package `greet` with its hands, so that pip needs no network. */
const INSTALL_WHEEL = `python3 - <<'END'
import zipfile
with zipfile.ZipFile("/tmp/greet-1.0-py3-none-any.whl", "w") as wheel:
    wheel.writestr("greet/__init__.py", "word = 'hello'\\n")
    wheel.writestr("greet-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: greet\\nVersion: 1.0\\n")
    wheel.writestr("greet-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr("greet-1.0.dist-info/RECORD", "greet/__init__.py,,\\ngreet-1.0.dist-info/METADATA,,\\ngreet-1.0.dist-info/WHEEL,,\\ngreet-1.0.dist-info/RECORD,,\\n")
END
pip install --quiet --no-index /tmp/greet-1.0-py3-none-any.whl`;

test("a package that pip installed is imported by the next run; a fork changes it for itself alone", async () => {
  expect(await run(daemon, job("a", INSTALL_WHEEL))).toMatchObject({ exit_code: 0, status: "completed" });
  const imported = "python3 -c 'import greet; print(greet.word)'";
  expect((await run(daemon, job("a", imported))).stdout).toEqual(["hello"]);
  const change = "f=$(python3 -c 'import greet; print(greet.__file__)'); echo \"word = 'changed'\" >$f; ";
  const forked = await run(daemon, job("b", change + imported, { base_workspace_id: "a" }));
  expect(forked.stdout).toEqual(["changed"]);
  expect((await run(daemon, job("b", imported))).stdout).toEqual(["changed"]);
  expect((await run(daemon, job("a", imported))).stdout).toEqual(["hello"]);
});

test("files, owners and deletions are there on the next run, and the log tells of each version", async () => {
  const write = "echo hello >/root/file; chown 1000:1000 /root/file; rm /etc/motd; mkdir -p /opt/x; exit 3";
  const first = await run(daemon, job("kept", write));
  expect(first).toMatchObject({ status: "completed", exit_code: 3, error: null });
  expect(first.system.join("\n")).toMatch(/workspace kept: version 1 durable in \d+ ms, .* MB new/);
  const look = "cat /root/file; stat -c %u:%g /root/file; ls /etc/motd /opt 2>/dev/null";
  const second = await run(daemon, job("kept", look));
  expect(second.stdout).toEqual(["hello", "1000:1000", "/opt:", "x"]);
});

test("a base is read by many at once, and what they change is discarded", async () => {
  await run(daemon, job("base", "echo original >/root/file"));
  const change = "cat /root/file; echo $RANDOM >/root/file; sleep 0.5";
  const ids = await Promise.all(
    Array.from({ length: 5 }, () => start(daemon, { base_workspace_id: "base", script: change })),
  );
  for (const id of ids) expect((await finished(daemon, id)).stdout).toEqual(["original"]);
  expect((await run(daemon, job("base", "cat /root/file"))).stdout).toEqual(["original"]);
});

test("a base that is named with a version starts from that one, and a fork never sees what comes later", async () => {
  for (const number of [1, 2, 3]) await run(daemon, job("history", `echo ${number} >/root/file`));
  const read = { script: "cat /root/file" };
  expect((await run(daemon, { ...read, base_workspace_id: "history@2" })).stdout).toEqual(["2"]);
  expect((await run(daemon, { ...read, base_workspace_id: "history" })).stdout).toEqual(["3"]);
  await run(daemon, job("branch", "cat /root/file", { base_workspace_id: "history" }));
  await run(daemon, job("history", "echo 4 >/root/file"));
  const again = await run(daemon, job("branch", "cat /root/file", { base_workspace_id: "history" }));
  expect(again.stdout).toEqual(["3"]);
  expect(again.system.join("\n")).toContain("base history was not used");
});

test("a second writer waits for the first and sees what it wrote", async () => {
  const first = await start(daemon, job("queue", "sleep 1; echo first >>/root/file"));
  await until(daemon, first, ({ status }) => status === "running");
  const second = await start(daemon, job("queue", "echo second >>/root/file; cat /root/file"));
  await expect(start(daemon, job("queue", "true", { on_busy: "fail" }))).rejects.toThrow("409");
  const ran = await finished(daemon, second);
  expect(ran.stdout).toEqual(["first", "second"]);
  expect(ran.system.join("\n")).toMatch(/waited .* s for the workspace/);
});

test("a job on a workspace whose machine is up runs in that machine, with its own log, limits and end", async () => {
  const host = await start(
    daemon,
    job("up", "echo host >/root/file; sleep 1000 & echo $! >/root/pid", { persistent: true }),
  );
  await until(daemon, host, ({ exit_code }) => exit_code === 0);
  const second = await run(daemon, job("up", "cat /root/file; kill -0 $(cat /root/pid) && echo same machine; exit 7"));
  expect(second).toMatchObject({ status: "completed", exit_code: 7, host_job: host });
  expect(second.stdout).toEqual(["host", "same machine"]);
  expect(second.system.join("\n")).toContain(`of job ${host}, which has the workspace`);
  const slow = await run(daemon, job("up", "setsid sleep 2000 & sleep 2000", { timeout: 1 }));
  expect(slow).toMatchObject({ status: "error", reason: "timeout" });
  const left = await run(daemon, job("up", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"));
  expect(left.stdout.join()).toContain("sleep 1000");
  expect(left.stdout.join()).not.toContain("sleep 2000");
  const cutOff = await start(daemon, job("up", "sleep 3000"));
  await until(daemon, cutOff, ({ status }) => status === "running");
  await daemon.http("POST", `/api/v1/mags-jobs/${host}/stop`);
  expect(await finished(daemon, cutOff)).toMatchObject({ status: "error", reason: "machine_ended" });
  expect(await finished(daemon, host)).toMatchObject({ status: "stopped" });
  expect((await run(daemon, job("up", "cat /root/file"))).stdout).toEqual(["host"]);
});

test("jobs in one machine go on when the server is killed, each with its own end", async () => {
  const host = await start(daemon, job("crash", "echo $$ >/root/pid", { persistent: true }));
  await until(daemon, host, ({ exit_code }) => exit_code === 0);
  const guest = await start(daemon, job("crash", "sleep 3; cat /root/pid; exit 5"));
  await until(daemon, guest, ({ status }) => status === "running");
  await daemon.kill();
  await daemon.start();
  const ran = await finished(daemon, guest);
  expect(ran).toMatchObject({ status: "completed", exit_code: 5 });
  expect(ran.stdout).toHaveLength(1);
  await daemon.http("POST", `/api/v1/mags-jobs/${host}/stop`);
  expect(await finished(daemon, host)).toMatchObject({ status: "stopped" });
});

test("sync answers when everything written before is durable, and a fork of the live workspace has it", async () => {
  const host = await start(daemon, job("live", "echo 1 >/root/file; sleep 0.2", { persistent: true }));
  await until(daemon, host, ({ exit_code }) => exit_code === 0);
  const sync = () => daemon.http("POST", `/api/v1/mags-jobs/${host}/sync`);
  expect(await sync()).toMatchObject({ status: 200, body: { synced: true, version: 1 } });
  expect((await run(daemon, { base_workspace_id: "live", script: "cat /root/file" })).stdout).toEqual(["1"]);
  await run(daemon, job("live", "echo 2 >/root/file"));
  expect(await sync()).toMatchObject({ status: 200, body: { synced: true, version: 2 } });
  expect(await sync()).toMatchObject({ status: 200, body: { synced: true, version: 2, new_bytes: 0 } });
  expect((await run(daemon, { base_workspace_id: "live", script: "cat /root/file" })).stdout).toEqual(["2"]);
  await daemon.http("POST", `/api/v1/mags-jobs/${host}/stop`);
  await finished(daemon, host);
});

test("a disk grows under its machine, or with the next one where the kernel does not let the agent do that", async () => {
  const host = await start(daemon, job("grows", "true", { persistent: true, disk_gb: 0.2 }));
  await until(daemon, host, ({ exit_code }) => exit_code === 0);
  const size = "df -m / | tail -1 | awk '{print ($2 > 400)}'";
  expect((await run(daemon, job("grows", size))).stdout).toEqual(["0"]);
  const resized = await daemon.http("POST", "/api/v1/mags-workspaces/grows/resize", { disk_gb: 0.5 });
  expect(resized.status).toBe(200);
  const capabilities = /^CapEff:\s*(\S+)$/m.exec(await readFile("/proc/self/status", "utf8"))?.[1] ?? "0";
  // In a virtual machine its own kernel does it.
  const allowed = inMachines ? 1n : (BigInt(`0x${capabilities}`) >> CAP_SYS_RESOURCE) & 1n;
  expect((await run(daemon, job("grows", size))).stdout).toEqual([String(allowed)]);
  await daemon.http("POST", `/api/v1/mags-jobs/${host}/stop`);
  await finished(daemon, host);
  expect((await run(daemon, { base_workspace_id: "grows", script: size })).stdout).toEqual(["1"]);
  expect((await run(daemon, job("grows", size))).stdout).toEqual(["1"]);
});

test("a version is verified and exported; a rollback brings its files back", async () => {
  await run(daemon, job("past", "echo old >/root/file"));
  await run(daemon, job("past", "echo new >/root/file; rm /etc/motd"));
  const verified = await daemon.http("POST", "/api/v1/mags-workspaces/past/verify", {});
  expect(verified).toMatchObject({ status: 200, body: { ok: true, bad: [] } });
  const archive = await fetch(`${daemon.url}/api/v1/mags-workspaces/past/export?format=tar`, {
    headers: { authorization: `Bearer ${await daemon.token()}` },
  });
  const path = join(daemon.dataDir, "past.tar");
  await writeFile(path, Buffer.from(await archive.arrayBuffer()));
  const names = await runCommand("tar", ["-tf", path]);
  expect(names.split("\n")).toEqual(expect.arrayContaining(["./root/file", "./etc/.wh.motd"]));
  const back = await daemon.http("POST", "/api/v1/mags-workspaces/past/rollback", { version: 1 });
  expect(back.status).toBe(200);
  expect((await run(daemon, job("past", "cat /root/file; ls /etc/motd"))).stdout).toEqual(["old", "/etc/motd"]);
});

test("a full disk is the workspace's own ENOSPC, and what was written stays", async () => {
  const fill = "echo small >/root/file; dd if=/dev/urandom of=/root/big bs=1M count=400 2>&1 | grep -o 'No space left'";
  expect((await run(daemon, job("small", fill, { disk_gb: 0.2 }))).stdout).toEqual(["No space left"]);
  const more = "cat /root/file; df -m / | tail -1 | awk '{print ($2 > 400)}'";
  expect((await run(daemon, job("small", more, { disk_gb: 0.5 }))).stdout).toEqual(["small", "1"]);
});

test("nothing is left on the machine", async () => {
  await daemon.stop();
  await untilEmpty(() => daemon.leftovers());
  await daemon.start();
});
