/** The daemon stopped, killed and started wrongly; what it promised before holds after. */
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { spawn } from "@mags/kit";
import type { Mags } from "@mags/sdk";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Daemon, untilEmpty } from "../harness/daemon.ts";

let daemon: Daemon;
let mags: Mags;

beforeAll(async () => {
  daemon = await Daemon.start();
  mags = await daemon.client();
});
afterAll(() => daemon.remove());

const stdoutOf = async (id: string): Promise<string[]> =>
  (await mags.logs(id)).filter((entry) => entry.source === "stdout").map((entry) => entry.message);

const until = async (what: string, check: () => Promise<boolean>): Promise<void> => {
  for (let tries = 0; !(await check()); tries++) {
    if (tries > 1000) throw new Error(`not in time: ${what}`);
    await delay(50);
  }
};
const printed = (id: string) => until("the first line", async () => (await stdoutOf(id)).length > 0);

describe("a job", () => {
  test("that ended in time while nobody was there is not called timed out", async () => {
    const { requestId } = await mags.run("echo begun; sleep 2; exit 5", { timeout: 4 });
    await printed(requestId);
    await daemon.kill();
    await delay(4500);
    await daemon.start();
    expect(await mags.wait(requestId)).toMatchObject({ status: "completed", exit_code: 5, reason: "exited" });
  });

  test("keeps its deadline over a restart", async () => {
    const { requestId } = await mags.run("echo begun; sleep 60", { timeout: 4 });
    await printed(requestId);
    await daemon.kill();
    await daemon.start();
    const up = Date.now();
    const job = await mags.wait(requestId);
    expect(job).toMatchObject({ status: "error", reason: "timeout" });
    // A part of it went by while nobody was there, so what is left is not the whole again.
    expect(Date.parse(job.completed_at as string) - up).toBeLessThan(3900);
  });

  test("goes on over an orderly stop, and can be stopped by the next process", async () => {
    const { requestId } = await mags.run("echo begun; sleep 60");
    await printed(requestId);
    await daemon.stop();
    await daemon.start();
    expect((await mags.status(requestId)).status).toBe("running");
    await mags.stop(requestId);
    expect(await mags.wait(requestId)).toMatchObject({ status: "stopped", exit_code: null });
  });

  test("with a machine that stays is still there after kill -9, with its script's exit code", async () => {
    const { requestId } = await mags.run("echo up; exit 6", { persistent: true });
    expect(await mags.wait(requestId)).toMatchObject({ status: "running", exit_code: 6 });
    await daemon.kill();
    await daemon.start();
    expect(await mags.status(requestId)).toMatchObject({ status: "running", exit_code: 6 });
    await mags.stop(requestId);
    await until("stopped", async () => (await mags.status(requestId)).status === "stopped");
    expect(await stdoutOf(requestId)).toEqual(["up"]);
  });

  test("whose background processes go on has what they print while nobody is there", async () => {
    // One opens the stream for writing only, one ends before anybody is back: a pipe that only the agent held would break.
    const script = `for n in $(seq 15); do echo tick $n; sleep 0.2; done >/dev/stdout &
(sleep 1.5; echo once >&2) & exit 0`;
    const { requestId } = await mags.run(script, { persistent: true });
    expect(await mags.wait(requestId)).toMatchObject({ status: "running", exit_code: 0 });
    await printed(requestId);
    await daemon.kill();
    await delay(4000);
    await daemon.start();
    const ticks = Array.from({ length: 15 }, (_, number) => `tick ${number + 1}`);
    await until("the last tick", async () => (await stdoutOf(requestId)).includes("tick 15"));
    expect(await stdoutOf(requestId)).toEqual(ticks);
    await until("what came on stderr", async () =>
      (await mags.logs(requestId)).some(({ source, message }) => source === "stderr" && message === "once"),
    );
    await mags.stop(requestId);
    await until("stopped", async () => (await mags.status(requestId)).status === "stopped");
    expect(await shellsOf(requestId)).toEqual([]);
  });

  test("whose watching shell was killed is an error that says so, and nothing of it stays", async () => {
    const { requestId } = await mags.run("echo begun; sleep 60");
    await printed(requestId);
    for (const pid of await shellsOf(requestId)) process.kill(pid, "SIGKILL");
    const job = await mags.wait(requestId);
    expect(job).toMatchObject({ status: "error", reason: "supervisor_lost", exit_code: null });
    expect(job.error).toBeTruthy();
    await untilEmpty(async () => ((await mags.poolStatus()).busy_vms === 0 ? [] : ["busy sandboxes"]));
  });

  test("does not notice that PostgreSQL was killed", async () => {
    const { requestId } = await mags.run("for i in 1 2 3 4; do echo $i; sleep 1; done");
    await printed(requestId);
    process.kill(await postmasterPid(), "SIGKILL");
    expect(await mags.wait(requestId)).toMatchObject({ status: "completed", exit_code: 0 });
    expect(await stdoutOf(requestId)).toEqual(["1", "2", "3", "4"]);
    expect((await mags.runAndWait("echo next")).stdout).toBe("next\n");
  });
});

test("an Idempotency-Key is remembered over kill -9", async () => {
  const headers = { "idempotency-key": "kept" };
  const post = () => daemon.http("POST", "/api/v1/mags-jobs", { script: "echo once" }, headers);
  const first = await post();
  await daemon.kill();
  await daemon.start();
  expect((await post()).body.request_id).toBe(first.body.request_id);
});

test("five kills in a row, each in the middle of its start, leave a server that works and nothing else", async () => {
  const { requestId } = await mags.run("for i in $(seq 12); do echo $i; sleep 1; done");
  for (let round = 1; round <= 5; round++) {
    await daemon.kill();
    const starting = daemon.start().catch(() => undefined);
    await delay(round * 250);
    await daemon.kill();
    await starting;
  }
  await daemon.start();
  expect(await mags.wait(requestId)).toMatchObject({ status: "completed", exit_code: 0 });
  expect(await stdoutOf(requestId)).toEqual(Array.from({ length: 12 }, (_, number) => String(number + 1)));
  await daemon.stop();
  await untilEmpty(() => daemon.leftovers());
  await daemon.start();
}, 240_000);

describe("a start that cannot work says why", () => {
  const start = (env: Record<string, string>) =>
    spawn(process.execPath, ["magsd/src/main.ts"], {
      cwd: join(import.meta.dirname, "../.."),
      env: { ...daemon.env, ...env },
      reject: false,
      timeout: 20_000,
    });

  test("a second daemon on the same directory", async () => {
    const result = await start({ MAGS_LISTEN: "127.0.0.1:1" });
    expect(result.exitCode).toBe(1);
    expect(result.stderr).toContain("another magsd is running");
  });

  test("a port that is taken", async () => {
    const second = `${daemon.dataDir}-second`;
    const result = await start({ MAGS_DATA_DIR: second });
    await rm(second, { recursive: true });
    expect(result.exitCode).toBe(1);
    expect(result.stderr).toMatch(/EADDRINUSE|in use/);
    expect(result.stderr).toContain(String(daemon.port));
  });

  test("settings that cannot be used, all at once", async () => {
    const result = await start({ MAGS_LISTEN: "nowhere", MAGS_POOL_MIN: "-1", DATABASE_URL: "mysql://x" });
    expect(result.exitCode).toBe(1);
    for (const name of ["MAGS_LISTEN", "MAGS_POOL_MIN", "DATABASE_URL"]) expect(result.stderr).toContain(name);
  });
});

async function postmasterPid(): Promise<number> {
  const files = await readdir(daemon.dataDir, { recursive: true });
  const file = files.find((name) => name.endsWith("postmaster.pid"));
  if (file === undefined) throw new Error("no postmaster.pid");
  return Number((await readFile(join(daemon.dataDir, file), "utf8")).split("\n")[0]);
}

/** Pids of the shells on the host that watch a job's script. */
async function shellsOf(id: string): Promise<number[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")));
  return pids.filter((_, index) => lines[index]?.includes("mags-run") && lines[index]?.includes(id)).map(Number);
}
