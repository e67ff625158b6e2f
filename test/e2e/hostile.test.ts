/** Scripts that do what scripts of strangers do: each ends in the right state and takes nothing with it. */
import type { Mags } from "@mags/sdk";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { inMachines } from "../harness/config.ts";
import { Daemon, untilEmpty } from "../harness/daemon.ts";

let daemon: Daemon;
let mags: Mags;

beforeAll(async () => {
  daemon = await Daemon.start();
  mags = await daemon.client();
});
afterAll(() => daemon.remove());

describe("a script that breaks its own machine breaks no other", () => {
  test("removing every file", async () => {
    const result = await mags.runAndWait("rm -rf --no-preserve-root / 2>/dev/null; echo gone");
    expect(result).toMatchObject({ status: "completed", stdout: "gone\n" });
    expect(await mags.runAndWait("python3 -c 'print(1)'; ls /root | wc -l")).toMatchObject({ stdout: "1\n0\n" });
  });

  test("killing every process it can see", async () => {
    const { requestId } = await mags.run("python3 -c 'import os; os.kill(-1, 9)'; sleep 5; echo alive");
    expect(await mags.wait(requestId)).toMatchObject({ status: "completed", exit_code: 137, signal: "SIGKILL" });
    expect((await mags.runAndWait("echo next")).stdout).toBe("next\n");
  });

  test("a fork bomb ends at its time limit and leaves no process", async () => {
    const { requestId } = await mags.run("bomb() { bomb | bomb & }; bomb; sleep 60", { timeout: 3 });
    const other = mags.runAndWait("echo unharmed");
    expect(await mags.wait(requestId)).toMatchObject({ status: "error", reason: "timeout" });
    expect((await other).stdout).toBe("unharmed\n");
    await allRemoved();
  });

  test("children in sessions of their own that ignore every signal are gone with it", async () => {
    const script = `for n in 1 2 3; do setsid sh -c 'trap "" TERM HUP INT; while :; do sleep 7777; done' & done
nohup sleep 7777 >/dev/null 2>&1 &
echo left`;
    expect(await mags.runAndWait(script)).toMatchObject({ status: "completed", stdout: "left\n" });
    await allRemoved();
  });

  test("one that ignores every signal is ended in time", async () => {
    const { requestId } = await mags.run("trap '' TERM INT HUP QUIT; while :; do sleep 1; done", { timeout: 1 });
    const job = await mags.wait(requestId);
    expect(job).toMatchObject({ status: "error", reason: "timeout" });
    // Timers may go off a moment early.
    expect(job.script_duration_ms).toBeGreaterThanOrEqual(990);
    expect(job.script_duration_ms).toBeLessThan(15_000);
  });
});

describe("limits", () => {
  test("a child that exhausts memory is killed, and its script may go on", async () => {
    const script = `python3 -c "x = bytearray(10**9)"; echo "child: $?"`;
    expect(await mags.runAndWait(script, { memoryMb: 128 })).toMatchObject({
      status: "completed",
      exitCode: 0,
      stdout: "child: 137\n",
    });
  });

  test("files in shared memory count as memory, and /dev holds no more than its share", async () => {
    const result = await mags.runAndWait("head -c 200M /dev/zero >/dev/shm/x; head -c 8M /dev/zero >/dev/x; echo end", {
      memoryMb: 256,
    });
    expect(result.stdout).toBe("end\n");
    expect(result.stderr.match(/No space left/g)).toHaveLength(2);
  });

  // A machine counts as used what its host had not given to it.
  test.skipIf(inMachines)("CPU time is what was asked for", async () => {
    const script = `python3 -c "
import time
end = time.monotonic() + 3
while time.monotonic() < end: pass
print(time.process_time())"`;
    const used = Number((await mags.runAndWait(script, { vcpus: 0.2 })).stdout);
    expect(used).toBeGreaterThan(0.1);
    expect(used).toBeLessThan(1.2);
  });

  test("a disk of the size asked for is there, and the image's files count for nothing", async () => {
    const result = await mags.runAndWait("df -BM --output=size,used / | tail -n 1", { diskGb: 1 });
    const [size, used] = result.stdout
      .trim()
      .split(/\s+/)
      .map((text) => Number.parseInt(text, 10));
    expect(size).toBeGreaterThan(900);
    expect(size).toBeLessThanOrEqual(1024);
    expect(used).toBeLessThan(20);
  });
});

describe("what a script sees and may do", () => {
  test("its standard streams can be opened by name, as many scripts do", async () => {
    const script = "echo a >/dev/stdout; echo b >/dev/stderr; echo c >/proc/self/fd/2; echo d | tee /dev/stderr";
    expect(await mags.runAndWait(script)).toMatchObject({ exitCode: 0, stdout: "a\nd\n", stderr: "b\nc\nd\n" });
  });

  test("no descriptor of the server's is open in it", async () => {
    const result = await mags.runAndWait(
      "ls -l /proc/self/fd | grep -v -e total -e /proc/ | sed 's/.* \\([0-9]* ->\\)/\\1/'",
    );
    const numbers = result.stdout
      .trim()
      .split("\n")
      .map((line) => Number.parseInt(line, 10));
    expect(numbers.every((number) => number <= 2)).toBe(true);
  });

  // All of it is a machine's own; what of the host it may reach is in hostile-vms.test.ts.
  test.skipIf(inMachines)("the script itself and the files of the host in its machine cannot be changed", async () => {
    const script = `for f in /run/mags/script /run/mags/new /etc/resolv.conf /dev/init; do
  (echo x >$f) 2>/dev/null && echo "changed $f"
done; echo done`;
    expect((await mags.runAndWait(script)).stdout).toBe("done\n");
  });

  test.skipIf(inMachines)("no path, device or setting of the host", async () => {
    const script = `ls -d /var/lib/mags /var/cache/mags /work /run/mags/* 2>/dev/null
ls /dev | grep -E '^(sd|vd|nvme|loop|mem|kmsg|kvm|fuse|port|net)' && echo BAD device
for f in /proc/sys/kernel/core_pattern /proc/sys/vm/drop_caches /proc/sys/net/ipv4/ip_forward /proc/sysrq-trigger; do
  (echo 1 >$f) 2>/dev/null && echo "BAD $f"
done
[ -n "$(head -c 1 /proc/kcore 2>/dev/null)" ] && echo BAD kcore
grep -q '^CapEff:.*0000000000000000$' /proc/self/status && echo BAD no capability at all
python3 - <<'END'
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
calls = dict(init_module=175, kexec_load=246, bpf=321, perf_event_open=298, io_uring_setup=425, keyctl=250,
             userfaultfd=323, open_by_handle_at=304, setns=308, unshare=272, mount=165, pivot_root=155)
if os.uname().machine == "x86_64":
    for name, number in calls.items():
        if libc.syscall(number, 0, 0, 0, 0, 0) != -1 or ctypes.get_errno() != 1: print("BAD", name, ctypes.get_errno())
END
echo end`;
    expect((await mags.runAndWait(script)).stdout).toBe("end\n");
  });

  test("exit codes and signals are told as they were", async () => {
    const outcome = async (script: string) => {
      const job = await mags.wait((await mags.run(script)).requestId);
      return [job.status, job.exit_code, job.signal, job.reason];
    };
    expect(await outcome("exit 0")).toEqual(["completed", 0, null, "exited"]);
    expect(await outcome("exit 255")).toEqual(["completed", 255, null, "exited"]);
    expect(await outcome("kill -TERM $$")).toEqual(["completed", 143, "SIGTERM", "exited"]);
    expect(await outcome("no-such-program")).toEqual(["completed", 127, null, "exited"]);
    expect(await outcome("if then syntax (")).toEqual(["completed", 2, null, "exited"]);
  });

  test("a script of nearly 1 MiB and one in many languages arrive unchanged", async () => {
    const text = "ünïcödé 漢字 🙂 'quotes' \"double\" $HOME `x` \\n";
    const result = await mags.runAndWait(`cat <<'END'\n${text}\nEND\n#${"x".repeat(1024 * 1024 - 200)}`);
    expect(result.stdout).toBe(`${text}\n`);
  });
});

describe("output", () => {
  test("without a final newline, with NULs, with half characters and with a line of 1 MB", async () => {
    const script = `printf 'a\\0b'; printf '\\303' >&2; sleep 0.3; printf '\\244\\n' >&2
head -c 1000000 /dev/zero | tr '\\0' y; printf end`;
    const result = await mags.runAndWait(script);
    expect(result.stdout).toBe(`a\0b${"y".repeat(1_000_000)}end`);
    expect(result.stderr).toBe("ä\n");
  });

  test("of 20,000 lines on both streams is in order and whole on each", async () => {
    const result = await mags.runAndWait("for i in $(seq 20000); do echo o$i; echo e$i >&2; done");
    const numbers = Array.from({ length: 20_000 }, (_, number) => number + 1);
    expect(result.stdout).toBe(numbers.map((number) => `o${number}\n`).join(""));
    expect(result.stderr).toBe(numbers.map((number) => `e${number}\n`).join(""));
  });

  test("without end from a machine that stays holds nobody up", async () => {
    const { requestId } = await mags.run("yes & yes >&2 & exit 0", { persistent: true });
    expect(await mags.wait(requestId)).toMatchObject({ status: "running", exit_code: 0 });
    expect((await mags.runAndWait("echo next")).stdout).toBe("next\n");
    await mags.stop(requestId);
    await allRemoved();
    // An emulated machine has not printed as much by then.
    expect(await mags.status(requestId)).toMatchObject({ status: "stopped", log_truncated: !inMachines });
  });

  test("of a script that closed its streams is what it printed before", async () => {
    expect(await mags.runAndWait("echo before; exec >&- 2>&-; echo after; exit 4")).toMatchObject({
      status: "completed",
      exitCode: 4,
      stdout: "before\n",
    });
  });
});

/** Waits until only the machines that wait in the pool are there. */
async function allRemoved(): Promise<void> {
  await untilEmpty(async () => {
    const { busy_vms } = await mags.poolStatus();
    const own = (await daemon.leftovers()).filter((line) => line.startsWith("process") && line.includes("mags-run"));
    return [...(busy_vms === 0 ? [] : [`${busy_vms} busy`]), ...own];
  });
}
