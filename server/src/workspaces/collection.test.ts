import { setTimeout as sleep } from "node:timers/promises";
import type { Assignment } from "@mags/protocol";
import { chunkKey, decodeManifest, manifestKey } from "@mags/storage";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { call, createJob, startWorld, TestNode, type World, workspaces } from "../testing.ts";
import { Writer } from "./testing/writer.ts";

let world: World;
beforeAll(async () => {
  // No grace at all: what keeps a version whole must not be luck.
  world = await startWorld({
    workspaces: { ...workspaces, retention: { keepLast: 1000, keepDays: 0 }, graceMs: 0 },
  });
});
afterAll(() => world[Symbol.asyncDispose]());
afterEach(async () => {
  await world.sql.query("TRUNCATE jobs, nodes, workspaces, versions, manifests, chunks, condemned_objects CASCADE");
  await world.objects.delete(await objects());
});

const api = (method: string, path: string, body?: object) =>
  call(world, method, `/api/v1/mags-workspaces${path}`, body);
const collect = () => api("POST", "/collect");

async function registered(): Promise<TestNode> {
  const node = new TestNode(world, "a");
  node.size = { vcpus: 64, memory_mb: 65536 };
  await node.register();
  return node;
}
async function start(node: TestNode, workspace_id: string): Promise<Assignment> {
  await createJob(world, { workspace_id, vcpus: 0.1, memory_mb: 32 });
  const [claimed] = await node.claim();
  return claimed!;
}
async function objects(): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of world.objects.list("orgs/")) keys.push(key);
  return keys;
}
/** Keys that the versions in the database need. */
async function needed(): Promise<string[]> {
  const { rows } = await world.sql.query(
    "SELECT DISTINCT m.name, m.body FROM manifests m JOIN versions v ON v.org = m.org AND v.manifest = m.name",
  );
  const keys = rows.flatMap(({ name, body }) => [
    manifestKey("default", name),
    ...decodeManifest(body).chunks.map(([, hash, epoch]) => chunkKey("default", hash, epoch)),
  ]);
  return [...new Set(keys)].sort();
}

describe("a collection", () => {
  it("removes what a deleted version alone has needed, and says how much", async () => {
    const node = await registered();
    const job = await start(node, "ws");
    const writer = new Writer(world, node);
    await writer.write(job, ["shared", "of the first"]);
    await writer.write(job, ["shared", "of the second"]);
    expect((await collect()).body).toEqual({ expired_versions: 0, objects: 0, bytes: 0 });
    await api("DELETE", "/ws/versions/1");
    const { body } = await collect();
    expect(body.objects).toBe(2);
    expect(body.bytes).toBeGreaterThan(10);
    expect(await objects()).toEqual(await needed());
    expect((await writer.claim(["shared", "of the first"])).map(({ missing }) => missing)).toEqual([false, true]);
  });

  it("removes everything of a deleted workspace, but nothing that a fork of it needs", async () => {
    const node = await registered();
    const writer = new Writer(world, node);
    const job = await start(node, "ws");
    await writer.write(job, ["one"]);
    await api("POST", "/ws/fork", { workspace_id: "f" });
    await writer.write(job, ["two"], "completion");
    await node.finished(job);
    await api("DELETE", "/ws");
    await collect();
    expect(await objects()).toEqual(await needed());
    expect(await objects()).toHaveLength(2);
    await api("DELETE", "/f");
    await collect();
    expect(await objects()).toEqual([]);
  });

  it("leaves an upload that is under way alone during its grace period", async () => {
    await using patient = await startWorld();
    const node = new TestNode(patient, "a");
    await node.register();
    await createJob(patient, { workspace_id: "ws" });
    const [job] = await node.claim();
    const writer = new Writer(patient, node);
    const upload = await writer.upload(["slow"]);
    const done = await call(patient, "POST", "/api/v1/mags-workspaces/collect");
    expect(done.body).toEqual({ expired_versions: 0, objects: 0, bytes: 0 });
    expect((await writer.commit(job!.volume!, upload)).status).toBe(200);
  });

  it("tells an upload that came too late, whose next try has other keys; what it had stored is removed", async () => {
    const node = await registered();
    const job = await start(node, "ws");
    const writer = new Writer(world, node);
    const late = await writer.upload(["slow"]);
    await collect();
    const refused = await writer.commit(job.volume!, late);
    expect([refused.status, refused.body.error.code]).toEqual([409, "chunks_gone"]);
    const again = await writer.upload(["slow"]);
    expect(again.name).not.toBe(late.name);
    expect((await writer.commit(job.volume!, again)).status).toBe(200);
    // A put of the first try that arrives now hits no key that anybody uses, and is found by the next collection.
    await world.objects.put(manifestKey("default", late.name), late.manifest);
    await collect();
    expect(await objects()).toEqual(await needed());
  });

  it("that was killed is finished by the next: what was condemned is written down before it is deleted", async () => {
    const node = await registered();
    const job = await start(node, "ws");
    await new Writer(world, node).write(job, ["one"], "completion");
    await node.finished(job);
    await api("DELETE", "/ws");
    await world.sql.query("ALTER TABLE condemned_objects ADD CONSTRAINT broken CHECK (NOT deleted)");
    expect((await collect()).status).toBe(500);
    await world.sql.query("ALTER TABLE condemned_objects DROP CONSTRAINT broken");
    expect((await world.sql.query("SELECT 1 FROM chunks")).rowCount).toBe(0);
    expect((await collect()).body.objects).toBe(2);
    await collect();
    expect([await objects(), (await world.sql.query("SELECT 1 FROM condemned_objects")).rowCount]).toEqual([[], 0]);
  });

  it("fails where the object store does, and is finished when that is back", async () => {
    const node = await registered();
    const job = await start(node, "ws");
    await new Writer(world, node).write(job, ["one"], "completion");
    await node.finished(job);
    await api("DELETE", "/ws");
    const { delete: working } = world.objects;
    world.objects.delete = () => Promise.reject(new Error("the object store is away"));
    expect((await collect()).status).toBe(500);
    world.objects.delete = working;
    expect(await objects()).toHaveLength(2);
    await collect();
    expect(await objects()).toEqual([]);
  });

  it("is one at a time for an organisation", async () => {
    const client = await world.sql.connect();
    await client.query("BEGIN; SELECT pg_advisory_xact_lock(7070002, hashtext('default'))");
    expect((await collect()).status).toBe(409);
    await client.query("COMMIT");
    client.release();
    expect((await collect()).status).toBe(200);
  });
});

it("retention keeps the latest version and those that a job is about to start from, whatever its rules", async () => {
  await using strict = await startWorld({
    workspaces: { ...workspaces, retention: { keepLast: 1, keepDays: 0 }, graceMs: 0 },
  });
  const node = new TestNode(strict, "a");
  await node.register();
  await createJob(strict, { workspace_id: "ws" });
  const [job] = await node.claim();
  const writer = new Writer(strict, node);
  for (const content of ["1", "2", "3", "4"]) await writer.write(job!, [content]);
  await createJob(strict, { base_workspace_id: "ws@2" });
  const collect = () => call(strict, "POST", "/api/v1/mags-workspaces/collect");
  let done = await collect();
  // The server has begun one of its own when it started.
  while (done.status === 409) done = await collect();
  expect(done.body).toMatchObject({ expired_versions: 2, objects: 4 });
  const left = await call(strict, "GET", "/api/v1/mags-workspaces/ws/versions");
  expect(left.body.versions.map(({ version }: { version: number }) => version)).toEqual([4, 2]);
});

/** What somebody does while others do the same; numbers choose among what there is. */
type Step =
  | { do: "write"; contents: number[]; pause: number }
  | { do: "fork" | "rollback" | "drop" | "remove"; of: number }
  | { do: "collect"; pause: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("write" as const),
      contents: fc.array(fc.nat(9), { minLength: 1, maxLength: 4 }),
      pause: fc.nat(15),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom("fork" as const, "rollback" as const, "drop" as const, "remove" as const),
      of: fc.nat(5),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("collect" as const), pause: fc.nat(10) }) },
);

it("whatever writers, deletions and collections do at a time: every committed version is whole, and nothing else is left in the end", async () => {
  let forks = 0;
  const run = async (scripts: Step[][]) => {
    const node = await registered();
    const names = scripts.map((_, index) => `ws${index}`);
    const jobs: Assignment[] = [];
    for (const name of names) jobs.push(await start(node, name));
    const act = async (each: Step, own: number) => {
      const name = names[own] as string;
      if (each.do === "write") {
        const job = jobs[own] as Assignment;
        const writer = new Writer(world, node);
        // As an agent: what has gone meanwhile is claimed and uploaded again.
        for (let tries = 0; tries < 20; tries++) {
          const upload = await writer.upload(each.contents.map((content) => `content ${content}`));
          await sleep(each.pause);
          const answer = await writer.commit(job.volume!, upload, { parent: job.volume!.version });
          if (answer.body.error?.code === "chunks_gone") continue;
          expect(answer, JSON.stringify(answer.body)).toMatchObject({ status: 200 });
          job.volume!.version = answer.body.version;
          return;
        }
      } else if (each.do === "collect") {
        await sleep(each.pause);
        expect([200, 409]).toContain((await collect()).status);
      } else if (each.do === "fork") {
        const to = `fork${forks++}`;
        const { status } = await api("POST", `/${name}/fork`, { workspace_id: to });
        if (status === 201 && each.of % 2) await api("DELETE", `/${to}`);
      } else if (each.do === "rollback") {
        // Forced, it makes the writer a stranger; it begins anew.
        await api("POST", `/${name}/rollback`, { version: each.of + 1, force: true });
        await world.sql.query("UPDATE workspaces SET node = 'a' WHERE name = $1", [name]);
        const { rows } = await world.sql.query(
          "SELECT w.fence, v.id, v.number, v.manifest FROM workspaces w LEFT JOIN versions v ON v.id = w.latest WHERE w.name = $1",
          [name],
        );
        const { volume } = jobs[own] as Assignment;
        volume!.workspace!.fence = rows[0].fence;
        volume!.version = rows[0].id ? { ...rows[0], volume_bytes: 0 } : null;
      } else if (each.do === "drop") {
        await api("DELETE", `/${name}/versions/${each.of + 1}`);
      } else {
        const forked = (await api("GET", "")).body.workspaces.filter((w: { workspace_id: string }) =>
          w.workspace_id.startsWith("fork"),
        );
        const victim = forked[each.of % (forked.length || 1)];
        if (victim) await api("DELETE", `/${victim.workspace_id}`);
      }
    };
    await Promise.all(
      scripts.map(async (steps, own) => {
        for (const each of steps) await act(each, own);
      }),
    );
    const there = new Set(await objects());
    expect((await needed()).filter((key) => !there.has(key))).toEqual([]);
    for (let round = 0; round < 2; round++) await collect();
    expect(await objects()).toEqual(await needed());
    for (const { name } of (await world.sql.query("SELECT name FROM workspaces")).rows)
      await api("DELETE", `/${name}?force=1`);
    for (let round = 0; round < 2; round++) await collect();
    expect(await objects()).toEqual([]);
    await world.sql.query("TRUNCATE jobs, nodes CASCADE");
  };
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(step, { minLength: 3, maxLength: 8 }), { minLength: 2, maxLength: 4 }), run),
    { numRuns: 20, endOnFailure: true },
  );
}, 300_000);
