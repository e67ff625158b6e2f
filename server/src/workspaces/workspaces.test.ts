import type { Assignment } from "@mags/protocol";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { call, createJob, startWorld, TestNode, type World } from "../testing.ts";
import { hashToken } from "../tokens/service.ts";
import { Writer } from "./testing/writer.ts";

let world: World;
const foreign = { authorization: "Bearer token-of-another-organisation" };
beforeAll(async () => {
  world = await startWorld();
  await world.sql.query("INSERT INTO organisations (id) VALUES ('other')");
  await world.sql.query("INSERT INTO tokens (org, name, hash) VALUES ('other', 'admin', $1)", [
    hashToken("token-of-another-organisation"),
  ]);
});
afterAll(() => world[Symbol.asyncDispose]());
afterEach(async () => {
  await world.sql.query("TRUNCATE jobs, nodes, workspaces, versions, manifests, chunks CASCADE");
  await world.sql.query("UPDATE organisations SET max_workspaces = NULL, max_stored_bytes = NULL");
});

const url = "/api/v1/mags-workspaces";
const api = (method: string, path = "", body?: object, headers = {}) => call(world, method, url + path, body, headers);

async function registered(name = "a"): Promise<TestNode> {
  const node = new TestNode(world, name);
  await node.register();
  return node;
}
async function start(node: TestNode, job: object): Promise<Assignment> {
  await createJob(world, job);
  const [claimed] = await node.claim();
  await node.started(claimed!);
  return claimed!;
}
/** A workspace with one version for each of `contents`, which nobody uses. */
async function made(node: TestNode, name: string, contents: string[][]): Promise<void> {
  const job = await start(node, { workspace_id: name });
  const writer = new Writer(world, node);
  for (const content of contents) await writer.write(job, content);
  await writer.progress(job, { dirty: false });
  await node.finished(job);
}

describe("showing", () => {
  it("lists what there is with versions, jobs, users and the recovery point; anonymous ones are hidden", async () => {
    const node = await registered();
    const job = await start(node, { workspace_id: "b", disk_gb: 3 });
    await new Writer(world, node).write(job, ["one"]);
    const waiting = await createJob(world, { workspace_id: "b", name: "next" });
    await createJob(world, { workspace_id: "a" });
    await createJob(world, { persistent: true });
    const { body } = await api("GET");
    expect([body.total, body.workspaces.map((w: { workspace_id: string }) => w.workspace_id)]).toEqual([2, ["a", "b"]]);
    expect(body.workspaces[1]).toMatchObject({
      disk_gb: 3,
      size_bytes: 3,
      versions: 1,
      latest_version: 1,
      job_count: 2,
      in_use_by: [
        { request_id: job.id, status: "running" },
        { request_id: waiting.body.request_id, name: "next", status: "accepted" },
      ],
      node: "a",
      recovery_point: { dirty: true, pending_bytes: 0, last_sync_ms: 5, last_error: null },
    });
    const shown = await api("GET", "/b");
    expect(shown.body).toEqual(body.workspaces[1]);
    expect(Date.parse(shown.body.recovery_point.durable_at)).toBeLessThanOrEqual(Date.parse(shown.body.last_sync_at));
    expect((await api("GET", "?page=2&page_size=1")).body.workspaces).toEqual([body.workspaces[1]]);
  });

  it("another organisation finds nothing, whatever it asks for", async () => {
    await made(await registered(), "ws", [["one"], ["two"]]);
    for (const [method, path, body] of [
      ["GET", "/ws"],
      ["DELETE", "/ws?force=1"],
      ["GET", "/ws/versions"],
      ["DELETE", "/ws/versions/1"],
      ["POST", "/ws/fork", { workspace_id: "stolen" }],
      ["POST", "/ws/rollback", { version: 1 }],
      ["POST", "/ws/resize", { disk_gb: 9 }],
      ["POST", "/ws/sync"],
      ["POST", "/ws/verify", {}],
      ["GET", "/ws/export"],
    ] as const) {
      const answer = await api(method, path, body, foreign);
      const unknown = await api(method, path.replace("/ws", "/none"), body);
      expect([answer.status, unknown.status], `${method} ${path}`).toEqual([404, 404]);
      expect(answer.body.message.replaceAll("ws", "none")).toBe(unknown.body.message);
    }
    expect((await api("GET", "", undefined, foreign)).body.total).toBe(0);
    const base = await createJob(world, { base_workspace_id: "ws" }, foreign);
    expect([base.status, base.body.error.field]).toEqual([400, "base_workspace_id"]);
    expect((await createJob(world, { workspace_id: "ws" }, foreign)).status).toBe(202);
    expect((await api("GET", "/ws")).body.versions).toBe(2);
  });
});

describe("deleting", () => {
  it("is refused while jobs use it and names them; forced, it stops them", async () => {
    const node = await registered();
    const job = await start(node, { workspace_id: "ws" });
    await createJob(world, { workspace_id: "ws", name: "waiting" });
    const refused = await api("DELETE", "/ws");
    expect([refused.status, refused.body.error.code]).toEqual([409, "workspace_in_use"]);
    expect(refused.body.message).toContain(job.id);
    const forced = await api("DELETE", "/ws?force=1");
    expect(forced.body).toMatchObject({ workspace_id: "ws", deleted: true });
    expect(forced.body.stopped_jobs).toHaveLength(2);
    expect((await node.renew([job])).body.stop).toEqual([job.id]);
    expect((await call(world, "GET", "/api/v1/mags-jobs?name=waiting")).body.jobs[0].status).toBe("stopped");
    const late = await new Writer(world, node).commit(job.volume!, await new Writer(world, node).upload(["x"]));
    expect(late.status).toBe(409);
    await node.finished(job, { reason: "stopped" });
    expect((await api("GET", "/ws")).status).toBe(404);
  });

  it("takes the versions along, and the name is free for a new one", async () => {
    const node = await registered();
    await made(node, "ws", [["one"]]);
    expect((await api("DELETE", "/ws")).status).toBe(200);
    expect((await world.sql.query("SELECT 1 FROM versions")).rowCount).toBe(0);
    expect((await start(node, { workspace_id: "ws" })).volume).toMatchObject({
      version: null,
      workspace: { fence: 1 },
    });
  });

  it("is refused while a job is to start from a version of it", async () => {
    const node = await registered();
    await made(node, "ws", [["one"]]);
    const { body } = await createJob(world, { base_workspace_id: "ws" });
    expect((await api("DELETE", "/ws")).status).toBe(409);
    expect((await api("DELETE", "/ws?force=1")).body.stopped_jobs).toEqual([body.request_id]);
  });
});

describe("forking", () => {
  it("makes a workspace with the same content, and copies nothing", async () => {
    const node = await registered();
    await made(node, "ws", [["one"], ["one", "two"]]);
    const counts = () =>
      world.sql.query("SELECT (SELECT count(*) FROM chunks) AS chunks, (SELECT count(*) FROM manifests) AS manifests");
    const before = (await counts()).rows;
    const fork = await api("POST", "/ws/fork", { workspace_id: "f" });
    expect([fork.status, fork.body.latest_version, fork.body.recovery_point.dirty]).toEqual([201, 1, false]);
    const old = await api("POST", "/ws/fork", { workspace_id: "old", version: 1 });
    expect(old.status).toBe(201);
    expect((await counts()).rows).toEqual(before);
    const { rows } = await world.sql.query(
      "SELECT w.name, v.manifest FROM workspaces w JOIN versions v ON v.workspace = w.id ORDER BY w.name, v.number",
    );
    const manifest = Object.fromEntries(rows.map((row) => [row.name, row.manifest]));
    expect(manifest.f).toBe(manifest.ws);
    expect(manifest.old).toBe(rows.find(({ name }) => name === "ws")?.manifest);
    const job = await start(node, { workspace_id: "f" });
    expect(job.volume).toMatchObject({ source: "latest", version: { number: 1, manifest: manifest.ws } });
    expect((await new Writer(world, node).write(job, ["one", "3"])).number).toBe(2);
    expect((await api("GET", "/ws")).body.latest_version).toBe(2);
  });

  it("refuses a name that is taken or none, a version that is not there, and a workspace without one", async () => {
    const node = await registered();
    await made(node, "ws", [["one"]]);
    await createJob(world, { workspace_id: "empty" });
    const fork = async (from: string, body: object) => {
      const answer = await api("POST", `/${from}/fork`, body);
      return [answer.status, answer.body.error.field];
    };
    expect(await fork("ws", { workspace_id: "empty" })).toEqual([409, "workspace_id"]);
    expect(await fork("ws", { workspace_id: "../x" })).toEqual([400, "workspace_id"]);
    expect(await fork("ws", { workspace_id: "f", version: 9 })).toEqual([404, "version"]);
    expect(await fork("ws", { workspace_id: "f", version: 0 })).toEqual([400, "version"]);
    expect(await fork("empty", { workspace_id: "f" })).toEqual([404, undefined]);
    expect((await api("GET", "/f")).status).toBe(404);
  });

  it("is done once when it is repeated with its key", async () => {
    await made(await registered(), "ws", [["one"]]);
    const key = { "idempotency-key": "fork once" };
    const first = await api("POST", "/ws/fork", { workspace_id: "f" }, key);
    const again = await api("POST", "/ws/fork", { workspace_id: "f" }, key);
    expect([again.status, again.body]).toEqual([201, first.body]);
  });
});

describe("versions", () => {
  it("are listed newest first; going back makes a new one and keeps the rest", async () => {
    const node = await registered();
    await made(node, "ws", [["one"], ["two"]]);
    const back = await api("POST", "/ws/rollback", { version: 1 });
    expect(back.body).toMatchObject({ version: 3, latest: true, reason: "rollback", new_bytes: 0 });
    const { versions } = (await api("GET", "/ws/versions")).body;
    expect(versions.map((v: { version: number; latest: boolean }) => [v.version, v.latest])).toEqual([
      [3, true],
      [2, false],
      [1, false],
    ]);
    const { rows } = await world.sql.query("SELECT manifest FROM versions ORDER BY number");
    expect(rows[2]).toEqual(rows[0]);
    const next = await start(node, { workspace_id: "ws" });
    expect(next.volume?.version).toMatchObject({ number: 3, manifest: rows[0].manifest });
  });

  it("going back while a machine is up is refused; forced, it stops the job and refuses what that still writes", async () => {
    const node = await registered();
    const job = await start(node, { workspace_id: "ws", persistent: true });
    const writer = new Writer(world, node);
    await writer.write(job, ["one"]);
    await writer.write(job, ["two"]);
    const refused = await api("POST", "/ws/rollback", { version: 1 });
    expect([refused.status, refused.body.error.code]).toEqual([409, "workspace_in_use"]);
    expect((await api("POST", "/ws/rollback", { version: 1, force: true })).body.version).toBe(3);
    await expect(writer.write(job, ["three"])).rejects.toThrow("409");
    await createJob(world, { workspace_id: "ws" });
    expect(await node.claim()).toEqual([]);
    await node.finished(job, { reason: "stopped" });
    expect((await node.claim())[0]?.volume).toMatchObject({ version: { number: 3 }, dirty: false });
  });

  it("going back is refused while a node has changes that are not durable", async () => {
    const node = await registered();
    const job = await start(node, { workspace_id: "ws" });
    await new Writer(world, node).write(job, ["one"]);
    await node.finished(job);
    const refused = await api("POST", "/ws/rollback", { version: 1 });
    expect([refused.status, refused.body.message]).toEqual([409, expect.stringContaining("not durable")]);
    expect((await api("POST", "/ws/rollback", { version: 1, force: true })).status).toBe(200);
  });

  it("can be deleted, but not the latest, nor one that a job is about to start from", async () => {
    const node = await registered();
    await made(node, "ws", [["one"], ["two"], ["three"]]);
    expect((await api("DELETE", "/ws/versions/3")).status).toBe(409);
    await createJob(world, { base_workspace_id: "ws@1" });
    expect((await api("DELETE", "/ws/versions/1")).body.message).toContain("version 1");
    const [job] = await node.claim();
    await node.started(job!);
    expect((await api("DELETE", "/ws/versions/1")).body).toEqual({ workspace_id: "ws", version: 1, deleted: true });
    expect((await api("DELETE", "/ws/versions/1")).status).toBe(404);
    const gone = await createJob(world, { base_workspace_id: "ws@1" });
    expect([gone.status, gone.body.message]).toEqual([400, expect.stringContaining("no version 1")]);
  });

  it("a fork whose base is deleted before its first version is told to upload everything, and can", async () => {
    const node = await registered();
    await made(node, "ws", [["one"], ["two"]]);
    const fork = await start(node, { workspace_id: "f", base_workspace_id: "ws@1" });
    await api("DELETE", "/ws/versions/1");
    await world.sql.query("DELETE FROM chunks WHERE hash <> ALL(SELECT split_part(manifest, '.', 1) FROM versions)");
    await expect(new Writer(world, node).write(fork, ["one"])).resolves.toMatchObject({ number: 1 });
  });
});

describe("disks", () => {
  it("grow and never shrink; a node hears of it with the next job", async () => {
    const node = await registered();
    await made(node, "ws", [["one"]]);
    expect((await api("POST", "/ws/resize", { disk_gb: 5 })).body.disk_gb).toBe(5);
    const smaller = await api("POST", "/ws/resize", { disk_gb: 4 });
    expect([smaller.status, smaller.body.error.field]).toEqual([400, "disk_gb"]);
    for (const disk_gb of [0, -1, 1e9, "big"])
      expect((await api("POST", "/ws/resize", { disk_gb })).body.error.field).toBe("disk_gb");
    expect((await start(node, { workspace_id: "ws" })).volume?.disk_gb).toBe(5);
  });
});

describe("quotas", () => {
  it("of workspaces: no job and no fork makes one too many, and the message says how many there may be", async () => {
    await made(await registered(), "ws", [["one"]]);
    await world.sql.query("UPDATE organisations SET max_workspaces = 1 WHERE id = 'default'");
    const job = await createJob(world, { workspace_id: "second" });
    expect([job.status, job.body.error.code, job.body.message]).toEqual([
      403,
      "quota_exceeded",
      expect.stringContaining("1"),
    ]);
    expect((await api("POST", "/ws/fork", { workspace_id: "second" })).status).toBe(403);
    expect((await createJob(world, { workspace_id: "ws" })).status).toBe(202);
    expect((await createJob(world, { persistent: true })).status).toBe(202);
  });

  it("of bytes: what is too much is not committed and stays where it is; what is there already costs nothing", async () => {
    await world.restartServer();
    const node = await registered();
    const job = await start(node, { workspace_id: "ws" });
    const writer = new Writer(world, node);
    await writer.write(job, ["one"]);
    await world.sql.query("UPDATE organisations SET max_stored_bytes = 1 WHERE id = 'default'");
    const upload = await writer.upload(["one", "two"]);
    const refused = await writer.commit(job.volume!, upload, { parent: job.volume!.version });
    expect([refused.status, refused.body.error.code]).toEqual([403, "quota_exceeded"]);
    expect((await createJob(world, { workspace_id: "ws" })).body.error.code).toBe("quota_exceeded");
    await world.sql.query("UPDATE organisations SET max_stored_bytes = NULL");
    expect((await writer.commit(job.volume!, upload, { parent: job.volume!.version })).status).toBe(200);
  });
});
