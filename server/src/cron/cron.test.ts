import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Answer, call, startWorld, TestNode, type World } from "../testing.ts";

const url = "/api/v1/mags-cron";
let world: World;
let node: TestNode;
beforeAll(async () => {
  world = await startWorld();
  node = new TestNode(world, "n1");
});
afterAll(() => world[Symbol.asyncDispose]());
beforeEach(async () => {
  await world.sql.query("TRUNCATE crons, cron_runs, jobs CASCADE");
  await node.register();
});

const daily = { name: "nightly", cron_expression: "0 3 * * *", script: "echo hi" };
const make = (more: object = {}) => call(world, "POST", url, { ...daily, ...more });
const change = (id: string, body: object) => call(world, "PATCH", `${url}/${id}`, body);
const show = async (id: string) => (await call(world, "GET", `${url}/${id}`)).body;
const runs = async (id: string) => (await call(world, "GET", `${url}/${id}/runs`)).body.runs;
/** Makes it due as if the clock stood there. */
const makeDue = (id: string, secondsAgo = 0) =>
  world.sql.query("UPDATE crons SET next_at = date_trunc('minute', now()) - $2 * interval '1 s' WHERE id = $1", [
    id,
    secondsAgo,
  ]);
async function until<T>(look: () => Promise<T>, right: (value: T) => boolean): Promise<T> {
  for (const deadline = Date.now() + 30_000; ; await delay(50)) {
    const value = await look();
    if (right(value)) return value;
    if (Date.now() > deadline) throw new Error(`it stays ${JSON.stringify(value)}`);
  }
}

describe("a schedule", () => {
  it("needs a name, an expression and a script; the rest has defaults", async () => {
    const { status, body } = await make();
    expect(status).toBe(201);
    expect(body).toMatchObject({ ...daily, enabled: true, time_zone: "UTC", overlap: "skip", missed: "run_once" });
    expect(body).toMatchObject({ persistent: false, last_run_at: null, failure_count: 0 });
    expect(body.next_run_at).toMatch(/T03:00:00.000Z$/);
    expect(body.next_runs).toHaveLength(5);
    expect((await call(world, "GET", url)).body).toEqual({ cron_jobs: [body], total: 1 });
    expect(await show("nightly")).toEqual(body);
  });

  it("is previewed without being made: the next five times in its zone, or why it would be refused", async () => {
    const preview = (body: object) => call(world, "POST", `${url}/preview`, body);
    const { status, body } = await preview({ cron_expression: "0 3 * * *", time_zone: "Asia/Tokyo" });
    expect([status, body.next_runs.length]).toEqual([200, 5]);
    expect(body.next_runs[0]).toMatch(/T18:00:00/);
    const never = await preview({ cron_expression: "0 0 31 2 *" });
    expect([never.status, never.body.error.field]).toEqual([400, "cron_expression"]);
    expect((await preview({ cron_expression: "@hourly", time_zone: "Mars/Olympus" })).body.error.field).toBe(
      "time_zone",
    );
    expect((await call(world, "GET", url)).body.total).toBe(0);
  });

  it("is changed field by field; null takes one back to its default", async () => {
    const { id } = (await make({ environment: { A: "1" }, memory_mb: 256, retries: 2 })).body;
    expect((await change(id, { retries: 3 })).body).toMatchObject({
      retries: 3,
      environment: { A: "1" },
      memory_mb: 256,
    });
    expect((await change(id, { memory_mb: null, environment: { B: "2" } })).body).toMatchObject({
      memory_mb: 512,
      environment: { B: "2" },
      retries: 3,
    });
    expect((await change(id, { enabled: false })).body).toMatchObject({
      enabled: false,
      next_run_at: null,
      next_runs: [],
    });
    const { body } = await change(id, { enabled: true, time_zone: "Asia/Tokyo" });
    expect(body.next_run_at).toMatch(/T18:00:00.000Z$/);
  });

  it("is found by a name only where that is one schedule's", async () => {
    const first = (await make()).body;
    await make();
    const answer = await call(world, "GET", `${url}/nightly`);
    expect([answer.status, answer.body.error.code]).toEqual([409, "conflict"]);
    await call(world, "DELETE", `${url}/${first.id}`);
    expect((await call(world, "GET", `${url}/nightly`)).status).toBe(200);
    expect((await call(world, "GET", `${url}/${first.id}`)).status).toBe(404);
  });

  it.each([
    [{ cron_expression: "0 0 31 2 *" }, "cron_expression"],
    [{ cron_expression: "* * * * * *" }, "cron_expression"],
    [{ cron_expression: "soon" }, "cron_expression"],
    [{ cron_expression: undefined }, "cron_expression"],
    [{ time_zone: "Mars/Olympus" }, "time_zone"],
    [{ name: "" }, "name"],
    [{ script: "" }, "script"],
    [{ no_sleep: true }, "no_sleep"],
    [{ overlap: "maybe" }, "overlap"],
    [{ retries: -1 }, "retries"],
    [{ environment: { "1X": "y" } }, "environment.1X"],
    [{ script: "a\0b" }, "script"],
  ])("with %o is refused, by POST and by PATCH, and nothing is changed", async (wrong, field) => {
    const refused = await make(wrong);
    expect([refused.status, refused.body.error.field]).toEqual([400, field]);
    expect((await call(world, "GET", url)).body.total).toBe(0);
    if (Object.values(wrong)[0] === undefined) return;
    const before = (await make()).body;
    const unchanged = await change(before.id, wrong);
    expect([unchanged.status, unchanged.body.error.field]).toEqual([400, field]);
    expect(await show(before.id)).toEqual(before);
  });

  it("refuses to be changed in a field that it does not have, or in none", async () => {
    const { id } = (await make()).body;
    expect((await change(id, { cron: "x" })).status).toBe(400);
    expect((await change(id, {})).status).toBe(400);
  });
});

describe("a firing", () => {
  const finish = async (end: { exit_code?: number; reason?: "exited" } = {}) => {
    const [job] = await until(
      () => node.claim(),
      (jobs) => jobs.length === 1,
    );
    await node.started(job!);
    await node.finished(job!, end);
    return job!.id;
  };

  it("starts a job, whose end is the run's", async () => {
    const { id } = (await make({ environment: { X: "y" } })).body;
    await makeDue(id);
    await until(
      () => runs(id),
      (all) => all.length === 1,
    );
    const job = await finish();
    const [run] = await until(
      () => runs(id),
      ([first]) => first.state === "succeeded",
    );
    expect(run).toMatchObject({ kind: "schedule", request_id: job, exit_code: 0, reason: null });
    expect((await call(world, "GET", `/api/v1/mags-jobs/${job}/status`)).body.name).toBe("nightly");
    const cron = await show(id);
    expect(cron).toMatchObject({ last_status: "succeeded", last_request_id: job, last_exit_code: 0, failure_count: 0 });
    expect(new Date(cron.next_run_at).getTime()).toBeGreaterThan(Date.now());
  });

  it("that fails is tried again, and counted until one succeeds", async () => {
    const { id } = (await make({ retries: 1, retry_delay: 1 })).body;
    await makeDue(id);
    await finish({ exit_code: 7 });
    await finish({ exit_code: 8 });
    const all = await until(
      () => runs(id),
      (list) => list.length === 2 && list.every((run: { state: string }) => run.state === "failed"),
    );
    expect(all).toMatchObject([
      { kind: "retry", attempt: 1, exit_code: 8 },
      { kind: "schedule", attempt: 0, exit_code: 7, reason: "the script ended with exit code 7" },
    ]);
    expect(await show(id)).toMatchObject({ failure_count: 2, last_status: "failed", last_exit_code: 8 });
    await call(world, "POST", `${url}/${id}/run`);
    await finish();
    await until(
      () => show(id),
      (cron) => cron.failure_count === 0,
    );
  });

  it.each([
    ["skip", ["skipped", "started"]],
    ["queue", ["queued", "started"]],
    ["allow", ["started", "started"]],
  ])("while an earlier run goes on: %s", async (overlap, states) => {
    const { id } = (await make({ overlap })).body;
    await makeDue(id, 60);
    await until(
      () => runs(id),
      (all) => all.length === 1,
    );
    await makeDue(id);
    const all = await until(
      () => runs(id),
      (list) => list.length === 2,
    );
    expect(all.map((run: { state: string }) => run.state)).toEqual(states);
    if (overlap !== "queue") return;
    await finish();
    await until(
      () => runs(id),
      ([second, first]) => second.state === "started" && first.state === "succeeded",
    );
    await finish();
    await until(
      () => runs(id),
      ([second]) => second.state === "succeeded",
    );
  });

  it("that was missed is made good as the policy says, one after the other", async () => {
    const minutely = { cron_expression: "* * * * *", missed: "catch_up", catch_up: 2 };
    const { id } = (await make(minutely)).body;
    await makeDue(id, 600);
    const all = await until(
      () => runs(id),
      (list) => list.length >= 4,
    );
    const states = all.map((run: { state: string }) => run.state);
    expect(states.filter((state: string) => state === "started")).toHaveLength(1);
    expect(states.filter((state: string) => state === "queued").length).toBeGreaterThanOrEqual(1);
    expect(all.at(-1)).toMatchObject({ state: "skipped", reason: expect.stringMatching(/firings were missed/) });
  });

  it.each([
    ["skip", 0],
    ["run_once", 1],
    ["catch_up", 3],
  ])("that no server was there for is made good by the next one as the policy says: %s", async (missed, good) => {
    // Once an hour, half an hour from now: nothing is due but what the row says.
    const minute = (new Date().getUTCMinutes() + 30) % 60;
    const { id, next_run_at } = (await make({ cron_expression: `${minute} * * * *`, missed, catch_up: 3 })).body;
    await world.server.close();
    const hoursAgo = (hours: number) => new Date(Date.parse(next_run_at) - hours * 3600_000).toISOString();
    await world.sql.query("UPDATE crons SET next_at = $2 WHERE id = $1", [id, hoursAgo(6)]);
    world.server = await world.startServer();
    await node.register();
    for (let number = 0; number < good; number++) await finish();
    const all = await until(
      () => runs(id),
      (list) => list.length > 0 && list.every(({ state }: { state: string }) => /skipped|succeeded/.test(state)),
    );
    const made = all.filter(({ state }: { state: string }) => state === "succeeded").reverse();
    expect(made.map((run: { scheduled_at: string }) => run.scheduled_at)).toEqual(
      [3, 2, 1].slice(3 - good).map(hoursAgo),
    );
    expect(all.length - good).toBe(1);
    expect(all.at(-1)).toMatchObject({
      state: "skipped",
      reason: `${6 - good} firings were missed while no server was there`,
    });
    expect((await show(id)).next_run_at).toBe(next_run_at);
  });

  it("whose job is refused is a failed run that says why, and the next one is fired all the same", async () => {
    const { id } = (await make()).body;
    await world.sql.query(`UPDATE crons SET request = '{"script": "x", "isolation": "vm"}' WHERE id = $1`, [id]);
    await makeDue(id);
    const [run] = await until(
      () => runs(id),
      (all) => all.length === 1,
    );
    expect(run).toMatchObject({ state: "failed", request_id: null, reason: expect.stringContaining("refused") });
    expect(await show(id)).toMatchObject({ failure_count: 1, last_status: "failed" });
    expect((await show(id)).next_run_at).not.toBeNull();
  });

  it("on request starts one job for one request, enabled or not", async () => {
    const { id } = (await make({ enabled: false })).body;
    const ask = (): Promise<Answer> =>
      call(world, "POST", `${url}/${id}/run`, undefined, { "idempotency-key": "once" });
    const [first, second] = [await ask(), await ask()];
    expect([first.status, second.body.request_id]).toEqual([202, first.body.request_id]);
    expect(await runs(id)).toMatchObject([{ kind: "manual", state: "started", request_id: first.body.request_id }]);
  });

  it("is not settled while somebody has its schedule, who would wait for the run in turn", async () => {
    const { id } = (await make()).body;
    await call(world, "POST", `${url}/${id}/run`);
    const other = await world.sql.connect();
    await other.query("BEGIN");
    await other.query("SELECT 1 FROM crons WHERE id = $1 FOR UPDATE", [id]);
    await world.sql.query("UPDATE jobs SET status = 'completed', exit_code = 0, completed_at = now()");
    await delay(2500);
    // As a deletion does it; it must not have to wait for whoever settles.
    await other.query("DELETE FROM crons WHERE id = $1", [id]);
    await other.query("COMMIT");
    other.release();
    expect((await call(world, "GET", `${url}/${id}`)).status).toBe(404);
  });

  it("survives a restart of the server", async () => {
    const { id } = (await make()).body;
    await world.server.close();
    await makeDue(id);
    world.server = await world.startServer();
    await until(
      () => runs(id),
      (all) => all.length === 1 && all[0].state === "started",
    );
  });
});

it("tells of each run which version of the workspace it began with, and which it left", async () => {
  const { body } = await make({ workspace_id: "state" });
  await call(world, "POST", `${url}/${body.id}/run`);
  expect(await runs(body.id)).toMatchObject([{ from_version: null, version: null }]);
  const { rows } = await world.sql.query("SELECT id, workspace FROM jobs WHERE cron = $1", [body.id]);
  await world.sql.query("INSERT INTO manifests (org, name, body) VALUES ('default', 'm', '')");
  const version = (number: number, job: string | null) =>
    world.sql.query(
      `INSERT INTO versions (id, org, workspace, number, manifest, volume_bytes, content_bytes, new_bytes, reason, job)
       VALUES (gen_random_uuid(), 'default', $1, $2, 'm', 1, 1, 1, 'sync', $3) RETURNING id`,
      [rows[0].workspace, number, job],
    );
  const before = await version(4, null);
  await world.sql.query("UPDATE jobs SET start_version = $1 WHERE id = $2", [before.rows[0].id, rows[0].id]);
  await version(5, rows[0].id);
  await version(6, rows[0].id);
  expect(await runs(body.id)).toMatchObject([{ request_id: rows[0].id, from_version: 4, version: 6 }]);
});
