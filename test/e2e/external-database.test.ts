/** `DATABASE_URL`: everything on a PostgreSQL server of somebody else's, of the oldest version that is accepted. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { createLogger } from "@mags/kit";
import type { Mags } from "@mags/sdk";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "@mags/server";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Daemon } from "../harness/daemon.ts";

let dir: string;
let postgres: EmbeddedPostgres;
let daemon: Daemon;
let mags: Mags;

beforeAll(async () => {
  dir = await mkdtemp("/tmp/mags-postgres-");
  const name = `postgres-15-${process.platform}-${process.arch}`;
  postgres = await startEmbeddedPostgres({ dir, logger: createLogger("silent"), package: name });
  daemon = await Daemon.start({ DATABASE_URL: postgres.url });
  mags = await daemon.client();
});
afterAll(async () => {
  await daemon.remove();
  await postgres.close();
  await rm(dir, { recursive: true, force: true });
});

test("jobs run, are listed, waited for and stopped, and no PostgreSQL of our own is started", async () => {
  expect(await readFile(join(dir, "data", "PG_VERSION"), "utf8")).toBe("15\n");
  await expect(readFile(join(daemon.dataDir, "postgres", "data", "PG_VERSION"))).rejects.toThrow("ENOENT");
  const result = await mags.runAndWait("echo out; echo err >&2; exit 3", { name: "external" });
  expect(result).toMatchObject({ status: "completed", exitCode: 3, stdout: "out\n", stderr: "err\n" });
  expect((await mags.list({ name: "external" })).total).toBe(1);
  const { requestId } = await mags.run("sleep 60");
  await mags.stop(requestId);
  expect(await mags.wait(requestId)).toMatchObject({ status: "stopped" });
});

test("a POST is remembered by its Idempotency-Key, and a job outlives the server and its database", async () => {
  const post = () =>
    daemon.http("POST", "/api/v1/mags-jobs", { script: "sleep 2; echo late" }, { "idempotency-key": "k" });
  const { body } = await post();
  await daemon.kill();
  process.kill(postgres.pid(), "SIGKILL");
  await daemon.start();
  expect((await post()).body.request_id).toBe(body.request_id);
  expect(await mags.wait(body.request_id)).toMatchObject({ status: "completed", exit_code: 0 });
});
