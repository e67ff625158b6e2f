import { randomUUID } from "node:crypto";
import type { Assignment } from "@mags/protocol";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { createJob, startWorld, TestNode, type World } from "../testing.ts";
import { Writer } from "./testing/writer.ts";

let world: World;
let node: TestNode;
let writer: Writer;
let job: Assignment;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world[Symbol.asyncDispose]());
beforeEach(async () => {
  await world.sql.query("TRUNCATE jobs, nodes, workspaces, versions, manifests, chunks CASCADE");
  node = new TestNode(world, "a");
  await node.register();
  writer = new Writer(world, node);
  await createJob(world, { workspace_id: "ws" });
  job = (await node.claim())[0] as Assignment;
  await node.started(job);
});

const workspace = async () => (await world.sql.query("SELECT * FROM workspaces WHERE name = 'ws'")).rows[0];
const volume = () => job.volume as NonNullable<Assignment["volume"]>;

describe("claims of chunks", () => {
  it("say which are missing, in the order of the request, also of twins", async () => {
    await writer.write(job, ["stored"]);
    const claimed = await writer.claim(["new", "stored", "new"]);
    expect(claimed.map(({ missing }) => missing)).toEqual([true, false, true]);
    expect(claimed[0]).toEqual(claimed[2]);
    expect((await writer.claim(["new"]))[0]?.missing).toBe(true);
  });

  it("of many writers at once do not get in each other's way", async () => {
    const texts = Array.from({ length: 300 }, (_, i) => `chunk ${i}`);
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, i) => writer.claim(i % 2 ? texts : texts.toReversed())),
    );
    expect(new Set(answers.flat().map(({ hash, epoch }) => `${hash}.${epoch}`)).size).toBe(300);
  });

  it("are an organisation's own", async () => {
    await world.sql.query("INSERT INTO organisations (id) VALUES ('other') ON CONFLICT DO NOTHING");
    await writer.write(job, ["stored"]);
    expect((await writer.claim(["stored"], "other"))[0]?.missing).toBe(true);
  });
});

describe("what a node says of its copies", () => {
  const told = { dirty: true, pending_bytes: 7 };
  const answers = async (lost: boolean, fence?: number) => {
    const { id } = volume().workspace ?? {};
    const { body } = await writer.progress(job, told);
    expect(body).toEqual({ lost: lost ? [id] : [], raised: fence === undefined ? [] : [{ id, fence }] });
  };

  it("stays its own while a job that it was given to has not begun with it, and after one that never did", async () => {
    await writer.progress(job, told);
    await node.finished(job);
    await answers(false);
    await createJob(world, { workspace_id: "ws" });
    const [next] = await node.claim();
    await answers(false, 2);
    await node.finished(next!, { reason: "disk_full", exit_code: null, error: "no room" });
    await answers(false, 2);
    expect(await workspace()).toMatchObject({ dirty: true, holder_job: null });
    job = next!;
    await answers(false);
    expect((await writer.write(job, ["kept"], "completion")).number).toBe(1);
  });

  it("is not its own once another node was given the workspace, or everything in it was durable", async () => {
    await writer.write(job, ["one"], "completion");
    await node.finished(job);
    await createJob(world, { workspace_id: "ws" });
    const [next] = await node.claim();
    await node.finished(next!);
    await answers(true);
    await createJob(world, { workspace_id: "ws" });
    await world.sql.query("UPDATE nodes SET seen_at = now() - interval '1 hour'");
    const other = new TestNode(world, "b");
    await other.register();
    // As soon as the server has been there long enough for the silence of a node to mean something.
    await other.started(await vi.waitUntil(async () => (await other.claim())[0], 15_000));
    await node.register();
    await answers(true);
  }, 30_000);

  it("frees a workspace whose changes it was thought to have, unless a job has it", async () => {
    await writer.progress(job, told);
    await writer.nothing();
    expect((await workspace()).dirty).toBe(true);
    await node.finished(job);
    await writer.nothing();
    expect(await workspace()).toMatchObject({ dirty: false, pending_bytes: "0" });
  });
});

describe("a commit", () => {
  it("moves the latest version, tells how far it is durable, and is answered the same when repeated", async () => {
    const upload = await writer.upload(["one", "two"]);
    const first = await writer.commit(volume(), upload);
    expect(first.body.version).toMatchObject({ number: 1, manifest: upload.name, volume_bytes: 2 ** 31 });
    expect((await writer.commit(volume(), upload)).body).toEqual(first.body);
    const next = await writer.commit(volume(), await writer.upload(["one", "3"]), { parent: first.body.version });
    expect(next.body.version.number).toBe(2);
    expect(await workspace()).toMatchObject({ latest: next.body.version.id, dirty: true, last_sync_ms: 5 });
    const { rows } = await world.sql.query("SELECT number, new_bytes > 0 AS new FROM versions ORDER BY number");
    expect(rows).toEqual([
      { number: 1, new: true },
      { number: 2, new: true },
    ]);
  });

  it("with the last words of a writer leaves nothing that is not durable", async () => {
    await writer.write(job, ["one"], "completion");
    expect(await workspace()).toMatchObject({ dirty: false, pending_bytes: "0", last_error: null });
  });

  it("with the last words of a writer outlives what that had sent before and comes late", async () => {
    const told = { dirty: true, pending_bytes: 0 };
    await writer.progress(job, told);
    expect((await workspace()).dirty).toBe(true);
    await writer.write(job, ["one"], "stop");
    await writer.progress(job, told);
    expect((await workspace()).dirty).toBe(false);
    await node.finished(job);
    await writer.progress(job, told);
    expect((await workspace()).dirty).toBe(false);
  });

  it("of a job whose start is heard after its last words leaves nothing that is not durable", async () => {
    await createJob(world, { workspace_id: "quick" });
    const [quick] = await node.claim();
    await writer.write(quick!, ["one"], "completion");
    await node.started(quick!);
    await node.finished(quick!);
    const { rows } = await world.sql.query("SELECT dirty FROM workspaces WHERE name = 'quick'");
    expect(rows).toEqual([{ dirty: false }]);
  });

  it("of an earlier writer, another node or a deleted workspace is refused", async () => {
    const upload = await writer.upload(["one"]);
    await node.finished(job);
    await createJob(world, { workspace_id: "ws" });
    await node.claim();
    const late = await writer.commit(volume(), upload);
    expect([late.status, late.body.error]).toMatchObject([409, { code: "conflict", field: "fence" }]);
    const { id = "", name = "" } = volume().workspace ?? {};
    const other = new TestNode(world, "b");
    await other.register();
    expect((await new Writer(world, other).commit({ workspace: { id, name, fence: 2 } }, upload)).status).toBe(409);
    const gone = await writer.commit({ workspace: { id: randomUUID(), name, fence: 2 } }, upload);
    expect([gone.status, gone.body.error.field]).toEqual([409, "workspace"]);
    expect((await workspace()).latest).toBeNull();
  });

  it("that does not follow the latest version is refused", async () => {
    await writer.write(job, ["one"]);
    const stray = await writer.commit(volume(), await writer.upload(["two"]), { parent: null });
    expect([stray.status, stray.body.error]).toMatchObject([409, { code: "conflict", field: "parent" }]);
  });

  it("that refers to what nobody uploaded, or to another life of a chunk, is refused and changes nothing", async () => {
    const upload = await writer.upload(["one"]);
    const lazy = await writer.commit(volume(), { ...upload, stored: [] });
    expect([lazy.status, lazy.body.error.code]).toEqual([409, "chunks_gone"]);
    await world.sql.query("UPDATE chunks SET epoch = epoch + 1");
    const late = await writer.commit(volume(), upload);
    expect([late.status, late.body.error.code]).toEqual([409, "chunks_gone"]);
    const { rows } = await world.sql.query("SELECT DISTINCT state FROM chunks");
    expect([rows, (await workspace()).latest]).toEqual([[{ state: "claimed" }], null]);
  });

  it("whose manifest is not the named one, or no manifest, is refused", async () => {
    const upload = await writer.upload(["one"]);
    const other = await writer.commit(volume(), { ...upload, name: `${"0".repeat(64)}.0` });
    expect([other.status, other.body.error.field]).toEqual([400, "manifest"]);
    const [hash] = upload.name.split(".");
    const bent = { ...upload, manifest: upload.manifest.subarray(1) };
    expect((await writer.commit(volume(), bent)).status).toBe(400);
    expect((await writer.commit(volume(), { ...upload, name: `${hash}` })).body.error.field).toBe("manifest_name");
  });

  it("of many writers of the same chunks at once does not deadlock", async () => {
    const jobs = [];
    for (let i = 0; i < 6; i++) await createJob(world, { workspace_id: `ws${i}`, vcpus: 0.1, memory_mb: 32 });
    jobs.push(...(await node.claim()));
    const contents = Array.from({ length: 200 }, (_, i) => `chunk ${i}`);
    const versions = await Promise.all(
      jobs.map((each, i) => writer.write(each, i % 2 ? contents : contents.toReversed())),
    );
    expect(versions.map(({ number }) => number)).toEqual(Array(6).fill(1));
  });
});

describe("progress", () => {
  it("is shown, and a node that lost a workspace is told", async () => {
    const told = {
      pending_bytes: 7,
      dirty: true,
      durable_at: "2026-01-02T03:04:05.678Z",
      last_sync_ms: 80,
      error: "no",
    };
    expect((await writer.progress(job, told)).body).toEqual({ lost: [], raised: [] });
    const { durable_at, ...row } = await workspace();
    expect(row).toMatchObject({ pending_bytes: "7", dirty: true, last_sync_ms: 80, last_error: "no" });
    expect(durable_at.toISOString()).toBe(told.durable_at);
    await world.sql.query("DELETE FROM workspaces");
    expect((await writer.progress(job, told)).body).toEqual({ lost: [volume().workspace?.id], raised: [] });
  });

  it("twice at a time, while the workspace is changed and referred to, never waits for itself", async () => {
    const [reference, change] = [await world.sql.connect(), await world.sql.connect()];
    try {
      // As who adds a version does.
      await reference.query("BEGIN");
      await reference.query("SELECT 1 FROM workspaces FOR KEY SHARE");
      await change.query("BEGIN");
      await change.query("UPDATE workspaces SET used_at = now()");
      const both = [1, 2].map((pending_bytes) => writer.progress(job, { dirty: true, pending_bytes }));
      const waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
      await vi.waitUntil(async () => (await world.sql.query(waiting)).rowCount === 2, 10_000);
      await change.query("COMMIT");
      expect((await Promise.all(both)).map(({ status }) => status)).toEqual([200, 200]);
    } finally {
      await reference.query("ROLLBACK");
      for (const client of [reference, change]) client.release();
    }
  });
});
