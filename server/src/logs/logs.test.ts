import { createServer, type Server as HttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { ADMIN, call, createJob, NODE_TOKEN, startWorld, TestNode, type World } from "../testing.ts";

let world: World;
let node: TestNode;
let agent: HttpServer;
let answer: (request: IncomingMessage, response: ServerResponse) => void;
let asked: { url: string; authorization: string | undefined }[];

beforeAll(async () => {
  world = await startWorld();
  agent = createServer((request, response) => {
    asked.push({ url: request.url ?? "", authorization: request.headers.authorization });
    answer(request, response);
  });
  await new Promise<void>((resolve) => agent.listen(0, "127.0.0.1", resolve));
  node = new TestNode(world, "a");
  node.address = `http://127.0.0.1:${(agent.address() as AddressInfo).port}`;
  await node.register();
});
beforeEach(() => {
  asked = [];
});
afterAll(async () => {
  agent.closeAllConnections();
  agent.close();
  await world[Symbol.asyncDispose]();
});

async function runningJob() {
  await createJob(world);
  const [job] = await node.claim({ max: 1 });
  await node.started(job!);
  return job!;
}

const entry = (n: number) => ({
  timestamp: "2026-01-01T00:00:00.000Z",
  level: "info",
  source: "stdout",
  message: `line ${n}`,
  offset: n * 7,
  bytes: 7,
  newline: true,
});
const event = (n: number) => `id: ${(n + 1) * 7}.0.0\nevent: entry\ndata: ${JSON.stringify(entry(n))}\n\n`;
const end = {
  status: "completed",
  exit_code: 0,
  signal: null,
  reason: "exited",
  bytes: { stdout: 7, stderr: 0 },
  dropped: { stdout: 0, stderr: 0 },
};
const endEvent = `id: 99.0.0\nevent: end\ndata: ${JSON.stringify(end)}\n\n`;
const follow = async (id: string, headers = {}) => {
  const response = await fetch(`${world.server.url}/api/v1/mags-jobs/${id}/logs?follow=1`, {
    headers: { authorization: `Bearer ${ADMIN}`, ...headers },
  });
  return { status: response.status, text: await response.text(), type: response.headers.get("content-type") };
};
const messages = (text: string) => [...text.matchAll(/"message":"(line \d+)"/g)].map((match) => match[1]);

it("a page of the log comes from the job's node, with the query passed on", async () => {
  const job = await runningJob();
  const page = { logs: [entry(0)], end: null, next: "7.0.0" };
  answer = (_, response) => response.setHeader("content-type", "application/json").end(JSON.stringify(page));
  expect((await call(world, "GET", `/api/v1/mags-jobs/${job.id}/logs?after=0.0.0&limit=5`)).body).toEqual(page);
  expect(asked).toEqual([
    { url: `/agent/v1/jobs/${job.id}/logs?after=0.0.0&limit=5`, authorization: `Bearer ${NODE_TOKEN}` },
  ]);
});

it("a stream that breaks goes on after the last event, with nothing lost or doubled", async () => {
  const job = await runningJob();
  await node.finished(job);
  answer = (request, response) => {
    const after = new URL(request.url!, "http://a").searchParams.get("after");
    response.setHeader("content-type", "text/event-stream");
    if (!after) {
      response.write(event(0) + event(1) + event(2).slice(0, 20));
      setTimeout(() => response.destroy(), 50);
    } else response.end(event(2) + endEvent);
  };
  const { text, type } = await follow(job.id);
  expect(type).toBe("text/event-stream");
  expect(text.startsWith("retry: 500\n\n")).toBe(true);
  expect(messages(text)).toEqual(["line 0", "line 1", "line 2"]);
  expect(text.endsWith(endEvent)).toBe(true);
  expect(asked[1]?.url).toContain("after=14.0.0");
});

it("Last-Event-ID is where a stream goes on", async () => {
  const job = await runningJob();
  await node.finished(job);
  answer = (_, response) => response.end(endEvent);
  await follow(job.id, { "last-event-id": "14.0.3" });
  expect(asked[0]?.url).toContain("after=14.0.3");
  expect((await follow(job.id, { "last-event-id": "nonsense" })).status).toBe(400);
});

it("following a job that waits for a node starts when it does, and ends when it is stopped before", async () => {
  const { body: first } = await createJob(world);
  const followed = follow(first.request_id);
  await sleep(200);
  const [job] = await node.claim({ max: 1 });
  // The log ends before the row; whoever has seen the end finds it in the status, too.
  answer = (_, response) => {
    response.end(event(0) + endEvent);
    setTimeout(() => node.finished(job!), 300);
  };
  await node.started(job!);
  expect(messages((await followed).text)).toEqual(["line 0"]);
  const status = await call(world, "GET", `/api/v1/mags-jobs/${first.request_id}/status`);
  expect(status.body.status).toBe("completed");

  const { body: second } = await createJob(world);
  const stopped = follow(second.request_id);
  await sleep(200);
  await call(world, "POST", `/api/v1/mags-jobs/${second.request_id}/stop`);
  expect((await stopped).text).toMatch(/event: end\ndata: .*"status":"stopped"/);
});

it("stop is pushed to the node at once", async () => {
  const job = await runningJob();
  answer = (_, response) => response.writeHead(202).end();
  await call(world, "POST", `/api/v1/mags-jobs/${job.id}/stop`);
  await expect.poll(() => asked.map((a) => a.url)).toEqual([`/agent/v1/jobs/${job.id}/stop`]);
});

it("the pool is summed over the nodes, and a node that cannot be reached makes its log unavailable", async () => {
  const pool = { idle_vms: 1, busy_vms: 2, total_vms: 3, min_pool_size: 1, max_pool_size: 4 };
  const disk = { total_bytes: 2, free_bytes: 1 };
  answer = (_, response) => response.end(JSON.stringify({ pool, disk }));
  expect((await call(world, "GET", "/api/v1/mags-jobs/pool-status")).body).toEqual(pool);
  const job = await runningJob();
  await world.sql.query("UPDATE nodes SET address = 'http://127.0.0.1:1'");
  const unavailable = await call(world, "GET", `/api/v1/mags-jobs/${job.id}/logs`);
  expect([unavailable.status, unavailable.headers.get("retry-after")]).toEqual([503, "1"]);
});

it("health says what is missing", async () => {
  expect((await call(world, "GET", "/healthz")).body.status).toBe("ok");
  expect((await call(world, "GET", "/readyz")).status).toBe(200);
  await world.sql.query("UPDATE nodes SET seen_at = now() - interval '1 hour'");
  const answer = await call(world, "GET", "/readyz");
  expect([answer.status, answer.body.missing]).toEqual([503, ["no node has reported in the last 15 seconds"]]);
  expect((await call(world, "GET", "/openapi.json")).body.openapi).toBe("3.1.0");
});
