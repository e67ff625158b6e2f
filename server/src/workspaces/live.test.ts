/** What the server does with the answers of an agent, which here is a small HTTP server that says what the test wants. */
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Assignment } from "@mags/protocol";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ADMIN, call, createJob, NODE_TOKEN, startWorld, TestNode, type World } from "../testing.ts";
import { Writer } from "./testing/writer.ts";

let world: World;
let agent: Server;
let node: TestNode;
let job: Assignment;
let seen: { url: string | undefined; token: string | undefined; body: string }[] = [];
let answer: (...args: [...Parameters<RequestListener>, string]) => void;
beforeAll(async () => {
  world = await startWorld();
  agent = createServer(async (request, response) => {
    let body = "";
    for await (const piece of request) body += piece;
    seen.push({ url: request.url, token: request.headers.authorization, body });
    answer(request, response, body);
  });
  await new Promise<void>((resolve) => agent.listen(0, "127.0.0.1", resolve));
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  agent.close();
});
beforeEach(async () => {
  await world.sql.query("TRUNCATE jobs, nodes, workspaces, versions, manifests, chunks CASCADE");
  seen = [];
  node = new TestNode(world, "a");
  node.address = `http://127.0.0.1:${(agent.address() as AddressInfo).port}`;
  await node.register();
  await createJob(world, { workspace_id: "ws", name: "writer", persistent: true });
  job = (await node.claim())[0] as Assignment;
  await node.started(job);
});

const says = (status: number, body: object) => {
  answer = (_, response) =>
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
};
const refuses = (status: number, code: string, message: string) => says(status, { message, error: { code, message } });
const api = (method: string, path: string, body?: object) =>
  call(world, method, `/api/v1/mags-workspaces${path}`, body);
const VERIFIED = { ok: true, chunks: 1, bytes: 3, bad: [], fsck: null, mounted: { inodes: 2, bytes: 3 }, took_ms: 4 };

describe("sync", () => {
  it("answers when the agent says that all is durable: by job, by its name, by its workspace", async () => {
    const version = await new Writer(world, node).write(job, ["one"]);
    says(200, { version, durable_at: "2026-01-02T03:04:05.678Z", sync_ms: 12, new_bytes: 34 });
    for (const path of [`mags-jobs/${job.id}`, "mags-jobs/writer", "mags-jobs/ws", "mags-workspaces/ws"]) {
      const done = await call(world, "POST", `/api/v1/${path}/sync`);
      expect([done.status, done.body]).toMatchObject([
        200,
        { workspace_id: "ws", synced: true, version: 1, sync_ms: 12, new_bytes: 34 },
      ]);
    }
    expect(seen[0]).toMatchObject({ url: `/agent/v1/jobs/${job.id}/sync`, token: `Bearer ${NODE_TOKEN}` });
  });

  it("of a guest asks for its host's machine", async () => {
    await createJob(world, { workspace_id: "ws" });
    const [guest] = await node.claim();
    says(200, { version: null, durable_at: "2026-01-02T03:04:05.678Z", sync_ms: 1, new_bytes: 0 });
    expect((await call(world, "POST", `/api/v1/mags-jobs/${guest?.id}/sync`)).status).toBe(200);
    expect(seen[0]?.url).toBe(`/agent/v1/jobs/${job.id}/sync`);
  });

  it("fails saying what is not durable", async () => {
    refuses(503, "unavailable", "1234 bytes are not durable: the bucket is away");
    const failed = await api("POST", "/ws/sync");
    expect([failed.status, failed.body.message]).toEqual([503, "1234 bytes are not durable: the bucket is away"]);
    node.address = "http://127.0.0.1:9";
    await node.register();
    expect((await api("POST", "/ws/sync")).body.message).toContain("node a cannot be reached");
  });

  it("of what nobody writes answers at once, or says which node has changes that are not durable", async () => {
    const writer = new Writer(world, node);
    await writer.write(job, ["one"]);
    await writer.progress(job, { dirty: true, error: "the bucket is away" });
    await node.finished(job, { reason: "stopped" });
    const dirty = await api("POST", "/ws/sync");
    expect([dirty.status, dirty.body.message]).toEqual([
      503,
      expect.stringMatching(/node a has changes.*bucket is away/),
    ]);
    await writer.progress(job, { dirty: false });
    for (const path of ["mags-workspaces/ws", "mags-jobs/ws"])
      expect((await call(world, "POST", `/api/v1/${path}/sync`)).body).toMatchObject({
        synced: true,
        version: 1,
        sync_ms: 0,
      });
    expect((await call(world, "POST", "/api/v1/mags-jobs/none/sync")).status).toBe(404);
    expect(seen).toEqual([]);
  });

  it("of a job that keeps nothing is refused", async () => {
    const { body } = await createJob(world, {});
    const refused = await call(world, "POST", `/api/v1/mags-jobs/${body.request_id}/sync`);
    expect([refused.status, refused.body.message]).toEqual([409, expect.stringContaining("no workspace")]);
  });
});

describe("resize of a workspace whose machine is up", () => {
  it("is done by its agent first; what that refuses is not written down", async () => {
    says(200, {});
    expect((await api("POST", "/ws/resize", { disk_gb: 4 })).body.disk_gb).toBe(4);
    expect(seen[0]).toMatchObject({
      url: `/agent/v1/workspaces/${job.volume?.workspace?.id}/resize`,
      body: JSON.stringify({ disk_gb: 4 }),
    });
    refuses(400, "invalid_request", "the node has 3 GiB left");
    const refused = await api("POST", "/ws/resize", { disk_gb: 8 });
    expect([refused.status, refused.body.message]).toEqual([400, "the node has 3 GiB left"]);
    expect((await api("GET", "/ws")).body.disk_gb).toBe(4);
  });

  it("whose machine has just gone is written down for the next", async () => {
    refuses(404, "not_found", "no machine here");
    expect((await api("POST", "/ws/resize", { disk_gb: 4 })).body.disk_gb).toBe(4);
  });
});

describe("verify and export", () => {
  it("are given the version and answer what the agent does", async () => {
    const version = await new Writer(world, node).write(job, ["one"]);
    says(200, VERIFIED);
    expect((await api("POST", "/ws/verify", {})).body).toEqual(VERIFIED);
    expect(JSON.parse(seen[0]?.body ?? "")).toEqual({ org: "default", version });
    answer = (_, response) => response.writeHead(200).end(Buffer.alloc(100_000, 7));
    const response = await fetch(`${world.server.url}/api/v1/mags-workspaces/ws/export?format=ext4&version=1`, {
      headers: { authorization: `Bearer ${ADMIN}` },
    });
    expect(Buffer.from(await response.arrayBuffer())).toEqual(Buffer.alloc(100_000, 7));
    expect(response.headers.get("content-disposition")).toContain("ws-1.ext4");
    expect(JSON.parse(seen[1]?.body ?? "")).toEqual({
      ...{ org: "default", name: "ws", image: "base", version, format: "ext4" },
    });
  });

  it("of a version that is not there, or in a format that nobody knows, are refused", async () => {
    expect((await api("POST", "/ws/verify", {})).status).toBe(404);
    await new Writer(world, node).write(job, ["one"]);
    expect((await api("POST", "/ws/verify", { version: 7 })).status).toBe(404);
    expect((await api("GET", "/ws/export?format=zip")).body.error.field).toBe("format");
    expect((await api("GET", "/ws/export?version=0")).body.error.field).toBe("version");
    expect(seen).toEqual([]);
  });

  it("an export that breaks on the way is cut off, so that nobody takes it for whole", async () => {
    await new Writer(world, node).write(job, ["one"]);
    answer = (request, response) => {
      response.writeHead(200).write(Buffer.alloc(100_000, 7));
      setTimeout(() => request.socket.destroy(), 100);
    };
    const response = await fetch(`${world.server.url}/api/v1/mags-workspaces/ws/export`, {
      headers: { authorization: `Bearer ${ADMIN}` },
    });
    await expect(response.arrayBuffer()).rejects.toThrow();
  });
});
