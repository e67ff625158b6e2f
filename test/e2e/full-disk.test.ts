/** The file system on which a daemon keeps records and logs of jobs is full for a while. */
import { appendFileSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { mount, unmount } from "@mags/kit";
import type { Mags } from "@mags/sdk";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Daemon } from "../harness/daemon.ts";
import { output } from "../harness/workspaces.ts";

/** more than a pipe holds */
const LINES = 200_000;

let dir: string;
let jobs: string;
let daemon: Daemon;
let mags: Mags;

beforeAll(async () => {
  dir = await mkdtemp("/tmp/mags-full-");
  daemon = await Daemon.start({ MAGS_POOL_MIN: "0" }, dir);
  // So that it has a file system for them alone, and PostgreSQL goes on.
  await daemon.stop();
  jobs = join(daemon.dataDir, "agent/jobs");
  await mkdir(jobs, { recursive: true });
  mount("tmpfs", "test", jobs, "size=8m");
  await daemon.start();
  mags = await daemon.client();
});
afterAll(async () => {
  await daemon.stop();
  unmount(jobs);
  await daemon.start();
  await daemon.remove();
  await rm(dir, { recursive: true, force: true });
});

const filler = () => join(jobs, "filler");
function fill(): void {
  try {
    for (;;) appendFileSync(filler(), Buffer.alloc(4096));
  } catch (error) {
    expect((error as NodeJS.ErrnoException).code).toBe("ENOSPC");
  }
}
/** Starts a job that prints once somebody makes `/go`. */
async function begun(script: string, options: object = {}): Promise<string> {
  const { requestId } = await mags.run(`echo begun; until [ -e /go ]; do sleep 0.1; done; ${script}`, options);
  await expect.poll(async () => (await output(daemon, requestId)).stdout, { timeout: 30_000 }).toEqual(["begun"]);
  return requestId;
}

test("a script that prints meanwhile waits, the daemon lives and can be started again, and not a line is lost", async () => {
  const id = await begun(`seq ${LINES}; exit 3`);
  fill();
  expect((await mags.exec(id, "touch /go")).exitCode).toBe(0);
  await delay(2000);
  expect((await daemon.http("GET", "/readyz")).status).toBe(200);
  await daemon.kill();
  await daemon.start();
  await delay(2000);
  expect((await mags.status(id)).status).toBe("running");
  await rm(filler());
  expect(await mags.wait(id)).toMatchObject({ status: "completed", exit_code: 3, reason: "exited" });
  const { body } = await daemon.http("GET", `/api/v1/mags-jobs/${id}/logs?limit=1`);
  expect(body.logs).toHaveLength(1);
  const printed = (await daemon.cli(["logs", id])).stdout.split("\n").filter((line) => /^\d+$/.test(line));
  expect(printed).toEqual(Array.from({ length: LINES }, (_, line) => String(line + 1)));
});

test("a script that ends meanwhile has its output and its exit code", async () => {
  const id = await begun("seq 2000; exit 4");
  fill();
  expect((await mags.exec(id, "touch /go")).exitCode).toBe(0);
  await delay(2000);
  expect((await mags.status(id)).status).toBe("running");
  await rm(filler());
  expect(await mags.wait(id)).toMatchObject({ status: "completed", exit_code: 4, reason: "exited" });
  expect((await output(daemon, id)).stdout.slice(-2)).toEqual(["1999", "2000"]);
});
