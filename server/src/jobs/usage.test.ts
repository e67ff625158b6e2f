import { afterAll, beforeAll, expect, test } from "vitest";
import { call, startWorld, type World } from "../testing.ts";
import { readUsage } from "./usage.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

const usage = async (query = "") => (await call(world, "GET", `/api/v1/mags-jobs/usage${query}`)).body;

/** A job of `org` that began and ended so many hours ago. */
async function job(org: string, status: string, began: number | null, ended: number | null, created = began ?? 1) {
  await world.sql.query(
    `INSERT INTO jobs (id, org, name, spec, persistent, no_sleep, vcpus, memory_mb, timeout, status, created_at, started_at, completed_at)
     VALUES (gen_random_uuid(), $1, 'n', '{}', false, false, 2, 512, 300, $2,
       now() - $3 * interval '1 hour', now() - $4 * interval '1 hour', now() - $5 * interval '1 hour')`,
    [org, status, created, began, ended],
  );
}

test("an organisation without a job has used nothing", async () => {
  expect(await usage()).toMatchObject({ window_days: 30, total_jobs: 0, vm_seconds: 0, jobs: { completed: 0 } });
});

test("machine time within the window counts, and no other organisation's", async () => {
  await world.sql.query("INSERT INTO organisations (id) VALUES ('other')");
  await job("default", "completed", 3, 2);
  await job("default", "running", 1, null);
  await job("default", "accepted", null, null);
  await job("default", "stopped", 25, 23); // began before the window of a day: one hour of it counts, the job does not
  await job("default", "error", 80, 79); // ended before it
  await job("other", "completed", 3, 2);
  await job("default", "completed", 3, 2);
  await world.sql.query(
    "UPDATE jobs SET host_job = gen_random_uuid() WHERE id = (SELECT id FROM jobs WHERE org = 'default' ORDER BY seq DESC LIMIT 1)",
  );
  const day = await usage("?window_days=1");
  expect(day).toMatchObject({ total_jobs: 4, jobs: { completed: 2, running: 1, accepted: 1, stopped: 0, error: 0 } });
  expect(day.vm_seconds).toBeGreaterThanOrEqual(3 * 3600);
  expect(day.vm_seconds).toBeLessThan(3 * 3600 + 60);
  expect(day.vcpu_seconds).toBeCloseTo(2 * day.vm_seconds, 3);
  expect(day.memory_gb_seconds).toBeCloseTo(day.vm_seconds / 2, 3);
  expect((await usage()).total_jobs).toBe(6);
  expect(Date.now() - Date.parse(day.since)).toBeGreaterThan(86_390_000);
});

test("a window that is none is refused by name", async () => {
  for (const days of ["0", "-1", "1.5", "x", "1000"])
    expect((await usage(`?window_days=${days}`)).error.field).toBe("window_days");
});

test("a machine that sleeps uses nothing until it is up again, however often", async () => {
  await world.sql.query("INSERT INTO organisations (id) VALUES ('sleepy')");
  await job("sleepy", "running", 10, null);
  const change = (set: string) => world.sql.query(`UPDATE jobs SET ${set} WHERE org = 'sleepy'`);
  const shift = (hours: number) =>
    world.sql.query(
      "UPDATE job_naps SET from_at = from_at - $1 * interval '1 hour' WHERE org = 'sleepy' AND to_at IS NULL",
      [hours],
    );
  const hours = async () => Math.round((await readUsage(world.sql as never, "sleepy", 30)).vm_seconds / 3600);
  await change("persistent = true");
  await change("status = 'sleeping'");
  await shift(4);
  expect(await hours()).toBe(6);
  for (const status of ["accepted", "starting", "running"]) await change(`status = '${status}'`);
  expect(await hours()).toBe(6);
  await change("status = 'sleeping'");
  await shift(1);
  await change("status = 'stopped', completed_at = now()");
  expect(await hours()).toBe(5);
});
