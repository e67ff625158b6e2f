import { randomUUID } from "node:crypto";
import { usageCsv } from "@mags/protocol";
import { afterAll, beforeAll, expect, test } from "vitest";
import { call, createJob, startWorld, TestNode, type World } from "../testing.ts";
import { UsageReports } from "./service.ts";

const DAY_MS = 86_400_000;
const today = new Date(new Date().toISOString().slice(0, 10)).getTime();
/** A time so many hours after midnight, so many days ago. */
const at = (daysAgo: number, hours: number) => new Date(today - daysAgo * DAY_MS + hours * 3600_000);
const day = (daysAgo: number) => at(daysAgo, 0).toISOString().slice(0, 10);

let world: World;
let number = 0;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

async function organisation() {
  const id = `org-${number++}`;
  const made = await call(world, "POST", "/api/v1/organisations", { id });
  return { id, as: { authorization: `Bearer ${made.body.token.token}` } };
}
const report = (query: string, as = {}) => call(world, "GET", `/api/v1/usage${query}`, undefined, as);

interface Made {
  began: Date;
  ended: Date | null;
  naps?: [Date, Date | null][];
  workspace?: string;
  by?: string;
  host?: boolean;
}
/** A job of 2 vcpus and half a GiB. */
async function job(org: string, { began, ended, naps = [], workspace, by = "token ci", host = false }: Made) {
  const id = randomUUID();
  await world.sql.query(
    `INSERT INTO jobs (id, org, name, spec, persistent, no_sleep, vcpus, memory_mb, timeout, status, created_at, started_at,
       completed_at, workspace_name, created_by, host_job, node)
     VALUES ($1, $2, 'n', '{}', true, false, 2, 512, 300, $3, $4, $4, $5, $6, $7, $8, 'n1')`,
    [
      ...[id, org, ended ? "completed" : "running", began, ended, workspace ?? null, by],
      host ? "00000000-0000-4000-8000-000000000000" : null,
    ],
  );
  for (const [from, to] of naps)
    await world.sql.query("INSERT INTO job_naps VALUES ($1, $2, $3, $4)", [org, id, from, to]);
  return id;
}

test("a machine that is up over midnight counts on each of the days, in UTC, and one that sleeps does not", async () => {
  const { id, as } = await organisation();
  await job(id, {
    began: at(4, 22),
    ended: at(1, 3),
    naps: [
      [at(4, 23), at(3, 1)],
      [at(3, 12), at(2, 20)],
    ],
  });
  await job(id, { began: at(4, 22), ended: at(1, 3), host: true }); // in the other's machine: no time of its own
  const { body } = await report(`?from=${day(5)}&to=${day(1)}`, as);
  expect(body.rows.map((row: { day: string }) => row.day)).toEqual([5, 4, 3, 2, 1].map(day));
  expect(body.rows.map((row: { vcpu_seconds: number }) => row.vcpu_seconds / 2 / 3600)).toEqual([0, 1, 11, 4, 3]);
  expect(body.rows.map((row: { jobs: number }) => row.jobs)).toEqual([0, 2, 0, 0, 0]);
  expect(body.total).toMatchObject({ jobs: 2, vcpu_seconds: 19 * 7200, gb_seconds: 19 * 1800 });
});

test("a machine that is up, or sleeps, counts until now, and days out of the report do not", async () => {
  const { id, as } = await organisation();
  await job(id, { began: at(9, 0), ended: null });
  await job(id, { began: at(9, 0), ended: null, naps: [[at(8, 0), null]] });
  const { body } = await report(`?from=${day(8)}&to=${day(7)}`, as);
  expect(body.rows.map((row: { gb_seconds: number }) => row.gb_seconds / 1800)).toEqual([24, 24]);
  const now = (await report(`?from=${day(0)}`, as)).body.total.vcpu_seconds;
  expect(now).toBeGreaterThanOrEqual(((Date.now() - today) / 1000 - 60) * 2);
  expect(now).toBeLessThanOrEqual(((Date.now() - today) / 1000) * 2);
});

test("rows are for what is asked for, together they are the total, and null is what belongs to none", async () => {
  const { id, as } = await organisation();
  const [began, ended] = [at(2, 1), at(2, 2)];
  await job(id, { began, ended, workspace: "ws", by: "token ci" });
  await job(id, { began, ended, workspace: "ws", by: "cron nightly" });
  await job(id, { began, ended, by: "cron nightly" });
  const rows = async (by: string) => (await report(`?from=${day(3)}&to=${day(1)}&by=${by}`, as)).body.rows;
  expect(await rows("workspace")).toMatchObject([
    { workspace: "ws", jobs: 2, vcpu_seconds: 14_400 },
    { workspace: null, jobs: 1, vcpu_seconds: 7200 },
  ]);
  expect(await rows("day,token")).toMatchObject([
    { day: day(2), token: "cron nightly", jobs: 2 },
    { day: day(2), token: "token ci", jobs: 1 },
  ]);
});

test("only who runs the server sees more than one organisation", async () => {
  const { id, as } = await organisation();
  await job(id, { began: at(2, 1), ended: at(2, 2) });
  expect(await report("?by=organisation", as)).toMatchObject({ status: 403, body: { error: { field: "by" } } });
  const { body } = await report("?by=day,organisation");
  expect(body.rows).toContainEqual(expect.objectContaining({ day: day(2), organisation: id, jobs: 1 }));
  expect((await report("")).body.total.jobs).toBe(0);
});

test("what a machine sent counts once, on the day on which it was heard, for the node that has it alone", async () => {
  const { id, as } = await organisation();
  const [node, stranger] = [new TestNode(world, "n1"), new TestNode(world, "n2")];
  await Promise.all([node.register(), stranger.register()]);
  const its = await job(id, { began: at(1, 1), ended: null, workspace: "ws" });
  const tell = ({ name, bootId }: TestNode, sent_bytes: number, machine = "m1") =>
    call(world, "POST", "/node/v1/traffic", {
      node: name,
      boot_id: bootId,
      machines: [{ job: its, machine, sent_bytes }],
    });
  const sent = async () =>
    (await report(`?from=${day(1)}`, as)).body.rows.map((row: { egress_bytes: number }) => row.egress_bytes);
  for (const bytes of [100, 700, 700, 300]) expect((await tell(node, bytes)).status).toBe(200);
  expect(await sent()).toEqual([0, 700]);
  // As if that had been yesterday.
  await world.sql.query("UPDATE egress SET day = $1 WHERE job = $2", [day(1), its]);
  await tell(node, 1000);
  await tell(node, 50, "m2"); // after a sleep: another machine counts anew
  await tell(stranger, 5000, "m3");
  expect(await sent()).toEqual([700, 350]);
  // The last word of a machine may come when the job is another node's.
  await world.sql.query("UPDATE jobs SET node = 'n2' WHERE id = $1", [its]);
  await tell(node, 1010);
  expect(await sent()).toEqual([700, 360]);
  expect((await report("?by=workspace", as)).body.rows).toMatchObject([{ workspace: "ws", egress_bytes: 1060 }]);
});

test("what is stored counts by the hour, by workspace, and whoever looks at it at the same moment does not count it twice", async () => {
  const { id, as } = await organisation();
  const [mine, yours] = [randomUUID(), randomUUID()];
  const db = {
    query: (text: string, values?: unknown[]) => world.sql.query(text, values),
    async transaction(work: (tx: unknown) => Promise<unknown>) {
      const client = await world.sql.connect();
      try {
        await client.query("BEGIN");
        await work(client);
        await client.query("COMMIT");
      } finally {
        client.release();
      }
    },
  };
  const usage = new UsageReports(db as never);
  for (const [workspace, name, bytes] of [
    [mine, "a", 2 ** 30],
    [yours, "b", 3 * 2 ** 30],
  ] as const) {
    await world.sql.query("INSERT INTO workspaces (id, org, name, disk_gb) VALUES ($1, $2, $3, 2)", [
      workspace,
      id,
      name,
    ]);
    await world.sql.query("INSERT INTO manifests (org, name, body) VALUES ($1, $2, '')", [id, name]);
    await world.sql.query(
      `INSERT INTO versions (id, org, workspace, number, manifest, volume_bytes, content_bytes, new_bytes, reason)
       VALUES (gen_random_uuid(), $1, $2, 1, $4, 1, 1, $3, 'stop')`,
      [id, workspace, bytes, name],
    );
  }
  // Half of what they wrote is equal.
  await world.sql.query(
    "INSERT INTO chunks (org, hash, epoch, bytes, stored_bytes, state, claimed_at) VALUES ($1, repeat('a', 64), 1, 1, $2, 'stored', now())",
    [id, 2 * 2 ** 30],
  );
  await usage.look();
  await world.sql.query("UPDATE storage_now SET at = $2 WHERE org = $1", [id, at(1, 22)]);
  const hours = async (by: string) => {
    const { body } = await report(`?from=${day(1)}&to=${day(1)}&by=${by}`, as);
    return body.rows.map((row: { workspace?: string; storage_gb_hours: number }) => [
      row.workspace,
      Math.round(row.storage_gb_hours * 1000) / 1000,
    ]);
  };
  const expected = [
    ["a", 1],
    ["b", 3],
  ];
  expect(await hours("workspace")).toEqual(expected);
  await Promise.all([usage.look(), usage.look(), usage.look()]);
  expect(await hours("workspace")).toEqual(expected);
  expect(await hours("day")).toEqual([[undefined, 4]]);
  await world.sql.query("DELETE FROM chunks WHERE org = $1", [id]);
  await usage.look();
  expect(await hours("day")).toEqual([[undefined, 4]]);
});

test("as CSV a report has a line for each row, and a name is no formula", async () => {
  const { id, as } = await organisation();
  await job(id, { began: at(2, 1), ended: at(2, 2), workspace: "ws", by: 'token a "b", c' });
  const answers = [
    await report(`?by=workspace,token&format=csv`, as),
    await report("?by=workspace,token", { ...as, accept: "text/csv" }),
  ];
  for (const { status, headers, body } of answers) {
    expect([status, headers.get("content-type")]).toEqual([200, "text/csv; charset=utf-8"]);
    expect(body).toBe(
      'workspace,token,jobs,vcpu_seconds,gb_seconds,storage_gb_hours,egress_bytes\r\nws,"token a ""b"", c",1,7200,1800,0,0\r\n',
    );
  }
  const figures = { jobs: 1, vcpu_seconds: 0, gb_seconds: 0, storage_gb_hours: 0, egress_bytes: 0 };
  const rows = [{ workspace: "=1+1", ...figures }];
  expect(usageCsv({ from: "", to: "", by: ["workspace"], rows, total: figures })).toContain("\r\n'=1+1,1,");
});

test.each([
  ["?from=2026-02-30", "from"],
  ["?from=yesterday", "from"],
  ["?from=2026-02-02&to=2026-02-01", "from"],
  ["?from=2020-01-01&to=2026-02-01", "from"],
  ["?by=day,day", "by"],
  ["?by=colour", "by"],
  ["?format=xml", "format"],
])("%s is refused by name", async (query, field) => {
  expect(await report(query)).toMatchObject({ status: 400, body: { error: { field } } });
});

test("a job of a real life counts from its start", async () => {
  const node = new TestNode(world, "n3");
  await node.register();
  const made = await createJob(world, { vcpus: 2 });
  const [assignment] = await node.claim();
  if (!assignment) throw new Error("the job was not handed out");
  await node.started(assignment);
  await node.finished(assignment);
  const { rows } = await world.sql.query(
    "SELECT extract(epoch FROM completed_at - started_at)::float8 AS s FROM jobs WHERE id = $1",
    [made.body.request_id],
  );
  const { body } = await report("?by=token");
  expect(body.rows).toMatchObject([{ token: expect.stringMatching(/^token /), jobs: 1 }]);
  expect(body.total.vcpu_seconds).toBeCloseTo(rows[0].s * 2, 6);
});
