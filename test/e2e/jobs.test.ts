import { access, readdir, readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { spawn } from "@mags/kit";
import { entryBytes, type Mags } from "@mags/sdk";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { inMachines } from "../harness/config.ts";
import { Daemon, untilEmpty } from "../harness/daemon.ts";

let daemon: Daemon;
let mags: Mags;

beforeAll(async () => {
  daemon = await Daemon.start({ MAGS_LOG_LIMIT_BYTES: "2000000" });
  mags = await daemon.client();
});
afterAll(() => daemon.remove());

describe("a script", () => {
  test("has its two streams apart and its exit code kept", async () => {
    const result = await mags.runAndWait("echo out; echo err >&2; exit 3");
    expect(result).toMatchObject({ status: "completed", exitCode: 3, stdout: "out\n", stderr: "err\n" });
  });

  test("runs as root in /root of a machine of its own, and as nobody special outside", async () => {
    const { requestId } = await mags.run("id -u; pwd; hostname; sleep 60");
    const lines = async () =>
      (await mags.logs(requestId)).filter((entry) => entry.source === "stdout").map((entry) => entry.message);
    await vi.waitUntil(async () => (await lines()).length === 3, 30_000);
    // What it prints comes from its node, and may be here before the server knows that it has started.
    const vm_id = await vi.waitUntil(async () => (await mags.status(requestId)).vm_id, 30_000);
    const uids = await hostUidsIn(vm_id as string);
    expect(uids.length).toBeGreaterThan(0);
    for (const uid of uids) expect(uid).toBeGreaterThan(65_535);
    expect(await lines()).toEqual(["0", "/root", vm_id]);
    await mags.stop(requestId);
  });

  test("gets its environment and nothing of the server's", async () => {
    const result = await mags.runAndWait("printenv FOO; env", { environment: { FOO: "a b\nc", MAGS_X: "1" } });
    expect(result.stdout).toContain("a b\nc\n");
    expect(result.stdout).not.toMatch(/MAGS_DATA_DIR|DATABASE_URL/);
  });

  test("that never reads stdin, and one that does, come to an end", async () => {
    expect((await mags.runAndWait("cat; echo done")).stdout).toBe("done\n");
  });

  test("that leaves children behind is completed, and they are gone", async () => {
    const result = await mags.runAndWait("sleep 4242 & sleep 4243 & echo started");
    expect(result).toMatchObject({ status: "completed", stdout: "started\n" });
    await untilEmpty(async () => (await commandLines()).filter((line) => /sleep.424[23]/.test(line)));
  });

  test("cannot kill what it runs under", async () => {
    expect((await mags.runAndWait("kill -9 1; sleep 0.2; echo alive")).stdout).toBe("alive\n");
    // Its parent is outside of what it sees and so 0, which for kill(1) is its own process group.
    const { requestId } = await mags.run("kill -9 $PPID; sleep 1; echo alive");
    expect(await mags.wait(requestId)).toMatchObject({ status: "completed", exit_code: 137, signal: "SIGKILL" });
  });

  test("that exceeds its time is ended with the reason", async () => {
    const { requestId } = await mags.run("echo begun; sleep 60", { timeout: 1 });
    const job = await mags.wait(requestId);
    expect(job).toMatchObject({ status: "error", reason: "timeout", exit_code: null });
    expect(job.error).toContain("1 s");
    expect((await mags.logs(requestId)).some((entry) => entry.message === "begun")).toBe(true);
  });

  test("that exhausts memory is ended with the reason", async () => {
    const { requestId } = await mags.run('exec python3 -c "x = bytearray(10**9)"', { memoryMb: 128 });
    const job = await mags.wait(requestId);
    expect(job).toMatchObject({ status: "error", reason: "out_of_memory" });
    expect(job.error).toContain("128 MiB");
  });

  test("that forks without end is held by its limit, and the host goes on", async () => {
    const script = 'i=0; while [ $i -lt 3000 ]; do sleep 30 & i=$((i+1)); done 2>/dev/null; echo "$i"';
    const { requestId } = await mags.run(script, { timeout: 20 });
    const job = await mags.wait(requestId);
    expect(["completed", "error"]).toContain(job.status);
    expect((await mags.runAndWait("echo next")).stdout).toBe("next\n");
    await untilEmpty(async () => (await commandLines()).filter((line) => line === "sleep 30 "));
  });

  test("that fills its disk sees ENOSPC", async () => {
    const result = await mags.runAndWait("dd if=/dev/zero of=/root/big bs=1M count=400", { diskGb: 0.2 });
    expect(result.exitCode).not.toBe(0);
    expect(result.stderr).toContain("No space left on device");
  });

  // Root in a virtual machine is root of its kernel, and of no other.
  test.skipIf(inMachines)("has no power over the kernel", async () => {
    const script = `mount -t tmpfs none /mnt && echo BAD mount
unshare -U true && echo BAD userns
unshare -m true && echo BAD mountns
echo b >/proc/sysrq-trigger && echo BAD sysrq
mknod /tmp/sda b 8 0 && echo BAD mknod
echo 1 >/proc/sys/kernel/panic && echo BAD sysctl
dmesg >/dev/null && echo BAD dmesg
ls /var/lib/mags && echo BAD host
chroot / true && echo chroot-works
true`;
    const result = await mags.runAndWait(script);
    expect(result.stdout).toBe("chroot-works\n");
  });

  test("reaches neither the host nor other sandboxes", async () => {
    const { requestId } = await mags.run(
      "python3 -m http.server 8000 >/dev/null 2>&1 & sleep 1; ip -4 -o addr show eth0 | tr -s ' ' | cut -d' ' -f4; sleep 60",
      {},
    );
    let address = "";
    for (let i = 0; i < 300 && !address; i++) {
      await delay(100);
      address = (await mags.logs(requestId)).find((entry) => entry.source === "stdout")?.message ?? "";
    }
    const other = address.split("/")[0] as string;
    expect(other).toMatch(/^10\.213\./);
    const gateway = other.replace(/\d+$/, (last) => String(Number(last) - 1));
    const script = `curl -s -m 2 http://${other}:8000 >/dev/null && echo BAD sandbox
curl -s -m 2 http://${gateway}:${daemon.port}/healthz && echo BAD host
curl -s -m 2 http://$(ip route | awk '/default/ {print $3}'):${daemon.port}/healthz && echo BAD own gateway
curl -s -m 2 http://127.0.0.1:${daemon.port}/healthz && echo BAD loopback
echo done`;
    expect((await mags.runAndWait(script)).stdout).toBe("done\n");
    await mags.stop(requestId);
  });

  test(
    "can install packages with apt, pip and npm, and become another user",
    async () => {
      const script = `set -e
(apt-get update && apt-get install -y tree) >/dev/null 2>&1; tree --version | cut -d' ' -f1
pip install --quiet --target /tmp/pip six >/dev/null 2>&1; ls /tmp/pip/six.py
npm i -g is-number >/dev/null 2>&1; npm ls -g --parseable | grep -c is-number
su nobody -s /bin/sh -c 'id -un'
apk add -q py3-yaml >/dev/null 2>&1; python3 -c 'import yaml; print("yaml")'`;
      const result = await mags.runAndWait(script, { timeout: inMachines ? 900 : 120 });
      expect(result.stdout).toBe("tree\n/tmp/pip/six.py\n1\nnobody\nyaml\n");
    },
    inMachines ? 960_000 : 150_000,
  );

  test("that prints binary has it back byte by byte", async () => {
    const { requestId } = await mags.run(
      "head -c 3000 /dev/urandom >/tmp/x; sha256sum /tmp/x | cut -d' ' -f1 >&2; cat /tmp/x",
    );
    const bytes: Uint8Array[] = [];
    let hash = "";
    for await (const item of mags.followLogs(requestId)) {
      if (item.type === "entry" && item.source === "stdout") bytes.push(entryBytes(item));
      if (item.type === "entry" && item.source === "stderr") hash += item.message;
    }
    const { createHash } = await import("node:crypto");
    expect(createHash("sha256").update(Buffer.concat(bytes)).digest("hex")).toBe(hash);
  });

  test("that prints 100 MB is not stalled; its log is cut at the limit, visibly", async () => {
    const { requestId } = await mags.run("head -c 100000000 /dev/zero | tr '\\0' 'x' | fold -w 20000; echo fin >&2", {
      timeout: 100,
    });
    const job = await mags.wait(requestId);
    expect(job).toMatchObject({ status: "completed", exit_code: 0, log_truncated: true });
    let kept = 0;
    let end: { bytes: { stdout: number }; dropped: { stdout: number; stderr: number } } | undefined;
    const marks: string[] = [];
    for await (const item of mags.followLogs(requestId)) {
      if (item.type === "end") end = item;
      else if (item.source === "stdout") kept += item.bytes;
      else if (item.level === "warn") marks.push(item.message);
    }
    expect(kept).toBe(2_000_000);
    expect(end?.bytes.stdout).toBe(kept);
    expect((end?.dropped.stdout ?? 0) + kept).toBe(100_004_999);
    expect(marks.some((mark) => mark.includes("reached"))).toBe(true);
  }, 120_000);
});

describe("the record of a job", () => {
  test("says what really ran it", async () => {
    const { requestId } = await mags.run("true", { memoryMb: 256, vcpus: 2 });
    const { ran_by, vm_id } = await mags.wait(requestId);
    const image = JSON.parse(
      await readFile(`${process.env.MAGS_IMAGE_DIR ?? "/var/cache/mags/images"}/base/image.json`, "utf8"),
    );
    expect(ran_by).toMatchObject({
      ...(inMachines
        ? {
            driver: "qemu",
            driver_version: expect.stringMatching(/^QEMU \d/),
            isolation: { level: "vm", seccomp: true },
          }
        : {
            driver: "container",
            driver_version: expect.stringMatching(/^(crun|runc) \d/),
            isolation: { level: "container", user_namespace: true, seccomp: true, kvm: false, emulated: false },
          }),
      image: "base",
      image_digest: image.digest,
      limits: { vcpus: 2, memory_mb: 256, disk_gb: 2, timeout: 300 },
      machine: vm_id,
    });
  });

  test.skipIf(inMachines)("refuses an isolation that this host cannot give", async () => {
    const answer = await daemon.http("POST", "/api/v1/mags-jobs", { script: "true", isolation: "vm" });
    expect(answer.status).toBe(422);
    expect(answer.body.error.code).toBe("isolation_unavailable");
  });

  test("of a persistent job stays running after its script, until it is stopped", async () => {
    const { requestId } = await mags.run("echo up", { persistent: true });
    const job = await mags.wait(requestId);
    expect(job).toMatchObject({ status: "running", exit_code: 0 });
    expect((await daemon.http("PATCH", `/api/v1/mags-jobs/${requestId}`, { no_sleep: true })).body.no_sleep).toBe(true);
    await mags.stop(requestId);
    await vi.waitUntil(async () => (await mags.status(requestId)).status === "stopped", 100_000);
  });

  test("is one for two requests with the same Idempotency-Key", async () => {
    const headers = { "idempotency-key": `key-${Date.now()}` };
    const body = { script: "echo once", name: "idempotent" };
    const answers = await Promise.all([1, 2, 3].map(() => daemon.http("POST", "/api/v1/mags-jobs", body, headers)));
    expect(new Set(answers.map((answer) => answer.body.request_id)).size).toBe(1);
    expect((await mags.list({ name: "idempotent" })).total).toBe(1);
  });
});

describe("the command line", () => {
  test("streams both outputs and exits with the script's code", async () => {
    const result = await daemon.cli(["run", "echo out; echo err >&2; exit 3"]);
    expect(result).toMatchObject({ stdout: "out\n", stderr: "err\n", exitCode: 3 });
  });

  test("reads a script from standard input", async () => {
    expect((await daemon.cli(["run", "-"], { input: "echo from stdin" })).stdout).toBe("from stdin\n");
  });

  test("stops the job on Ctrl-C", async () => {
    const running = daemon.cli(["run", "-n", "interrupted", "echo up; sleep 100"]);
    await new Promise((resolve) => running.stdout?.once("data", resolve));
    running.kill("SIGINT");
    expect((await running).exitCode).toBe(130);
    const [job] = (await mags.list({ name: "interrupted" })).jobs;
    expect(job?.status).toBe("stopped");
  });

  test("says what is wrong without a server", async () => {
    const result = await daemon.cli(["status", "no-such-job"]);
    expect(result.exitCode).toBe(1);
    expect(result.stderr).toContain("no-such-job");
  });

  test("doctor finds that this host can run sandboxes", async () => {
    const checks = JSON.parse((await daemon.cli(["doctor", "--json"])).stdout as string);
    const stateOf = (name: string) => checks.find((check: { name: string }) => check.name === name)?.state;
    for (const name of ["container", "sandboxes", "reflinks", "base image", "cgroups", "API"])
      expect(stateOf(name), name).toBe("ok");
  });

  test("doctor tells one who is not root what it could not try, and leaves nothing", async () => {
    // By name only, so that it can read this repository wherever it lies.
    const nobody = ["-U", "--map-user=65534", "--map-group=65534", "env", `MAGS_DATA_DIR=${daemon.dataDir}-none`];
    const doctor = ["cli/src/main.ts", "doctor", "--json"];
    const result = await spawn("unshare", [...nobody, process.execPath, ...doctor], { reject: false, env: daemon.env });
    const found = (name: string) => JSON.parse(result.stdout).find((check: { name: string }) => check.name === name);
    expect(found("root")).toMatchObject({ state: "missing", found: "no" });
    expect(found("container").found).toContain("needs root");
    expect(found("API").state).toBe("ok");
    await expect(access(`${daemon.dataDir}-none`)).rejects.toThrow("ENOENT");
  });
});

const [JOBS, AT_A_TIME] = inMachines ? [24, 6] : [200, 16];

test(`${JOBS} jobs, ${AT_A_TIME} at a time, all end with the right output and leave nothing`, async () => {
  let next = 0;
  const worker = async () => {
    for (let number = next++; number < JOBS; number = next++) {
      const result = await mags.runAndWait(`echo ${number}; echo e${number} >&2; exit ${number % 7}`);
      expect(result).toMatchObject({
        error: null,
        status: "completed",
        stdout: `${number}\n`,
        stderr: `e${number}\n`,
        exitCode: number % 7,
      });
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, worker));
  await untilEmpty(async () => ((await mags.poolStatus()).busy_vms === 0 ? [] : ["busy sandboxes"]));
  await daemon.stop();
  await untilEmpty(() => daemon.leftovers());
  await daemon.start();
}, 180_000);

async function commandLines(): Promise<string[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")));
  return lines.map((line) => line.replaceAll("\0", " "));
}

/** Host uids of the processes in a sandbox, found by their memory cgroup; of a virtual machine that is QEMU's. */
async function hostUidsIn(sandbox: string): Promise<number[]> {
  const uids: number[] = [];
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const cgroup = await readFile(`/proc/${pid}/cgroup`, "utf8").catch(() => "");
    if (!cgroup.includes(sandbox)) continue;
    const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
    if (inMachines && !/^Name:\tqemu/.test(status)) continue;
    uids.push(Number(/^Uid:\t(\d+)/m.exec(status)?.[1]));
  }
  return uids;
}
