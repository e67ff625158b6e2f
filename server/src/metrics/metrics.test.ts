import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ADMIN, call, createJob, startWorld, TestNode, type World } from "../testing.ts";

const TOKEN = "scraper-token-of-the-tests";
let world: World;
let node: TestNode;

beforeAll(async () => {
  world = await startWorld({ metricsToken: TOKEN });
  node = new TestNode(world, "n1");
  await node.register();
});
afterAll(() => world[Symbol.asyncDispose]());

const scrape = async (token: string) => call(world, "GET", "/metrics", undefined, { authorization: `Bearer ${token}` });

/** Value of one series, such as `mags_jobs{status="running"}`. */
async function value(series: string): Promise<number> {
  const line = (await scrape(TOKEN)).body.split("\n").find((each: string) => each.startsWith(`${series} `));
  return line === undefined ? Number.NaN : Number(line.slice(series.length + 1));
}

it("opens to its own token and to operators, to nobody else", async () => {
  expect((await scrape(TOKEN)).status).toBe(200);
  expect((await scrape(ADMIN)).status).toBe(200);
  expect((await scrape("no-such-token-at-all")).status).toBe(401);
  const made = await call(world, "POST", "/api/v1/tokens", { name: "runner", scopes: ["admin"] });
  expect((await scrape(made.body.token)).status).toBe(403);
  // It is good for nothing else.
  const elsewhere = await call(world, "GET", "/api/v1/mags-jobs", undefined, { authorization: `Bearer ${TOKEN}` });
  expect(elsewhere.status).toBe(401);
});

it("tells how many jobs wait, run and have ended, and how long they waited", async () => {
  await createJob(world);
  expect(await value('mags_jobs{status="accepted"}')).toBe(1);
  expect(await value("mags_jobs_oldest_waiting_seconds")).toBeGreaterThan(0);
  const [job] = await node.claim();
  if (!job) throw new Error("nothing was claimed");
  expect(job).not.toHaveProperty("queued_ms");
  await node.started(job);
  expect(await value('mags_jobs{status="running"}')).toBe(1);
  await node.finished(job, { exit_code: 3 });
  // A repeat of the same report counts once.
  await node.finished(job, { exit_code: 3 });
  expect(await value('mags_jobs{status="running"}')).toBe(0);
  expect(await value('mags_jobs_ended_total{status="completed",reason="exited"}')).toBe(1);
  expect(await value("mags_job_queue_seconds_count")).toBe(1);
  expect(await value("mags_job_start_seconds_count")).toBe(1);
});

it("tells how far workspaces are behind, and counts a failure once however often it is told", async () => {
  await createJob(world, { workspace_id: "state", persistent: true });
  const [job] = await node.claim();
  const workspace = job?.volume?.workspace;
  if (!job || !workspace) throw new Error("the job was not claimed with its workspace");
  await node.started(job);
  const tell = (error: string | null) =>
    call(world, "POST", "/node/v1/workspaces/progress", {
      node: "n1",
      boot_id: node.bootId,
      workspaces: [
        {
          id: workspace.id,
          fence: workspace.fence,
          pending_bytes: 5_000_000,
          dirty: true,
          durable_at: new Date(Date.now() - 60_000).toISOString(),
          last_sync_ms: 80,
          error,
        },
      ],
    });
  await tell(null);
  expect(await value("mags_workspace_pending_bytes")).toBe(5_000_000);
  expect(await value("mags_workspace_lag_seconds")).toBeGreaterThan(59);
  expect(await value("mags_workspace_sync_failures_total")).toBe(0);
  for (const error of ["the store answers 503", "the store answers 503", "the store is full"]) await tell(error);
  expect(await value("mags_workspace_sync_failures_total")).toBe(2);
  expect(await value('mags_workspaces{state="failing"}')).toBe(1);
  await tell(null);
  expect(await value('mags_workspaces{state="failing"}')).toBe(0);
});

it("counts requests by route and status, whatever the ids in their paths", async () => {
  await call(world, "GET", `/api/v1/mags-jobs/${randomUUID()}/status`);
  await call(world, "GET", `/api/v1/mags-jobs/${randomUUID()}/status`);
  const series = 'mags_http_request_seconds_count{method="GET",route="/api/v1/mags-jobs/:id/status",status="404"}';
  expect(await value(series)).toBe(2);
});

it("names in docs/metrics.md what it tells, and nothing else", async () => {
  const told = [...(await scrape(TOKEN)).body.matchAll(/^# TYPE (mags_\w+)/gm)].map(([, name]) => name);
  const text = await readFile(join(import.meta.dirname, "../../../docs/metrics.md"), "utf8");
  const tables = text.slice(0, text.indexOf("## What to be woken for"));
  const documented = [...tables.matchAll(/^\| `(mags_\w+)`/gm)].map(([, name]) => name);
  expect(documented.sort()).toEqual(told.sort());
});
