/** The ledger against itself and the object store, with a real database and store. */
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type Assignment, filePartKey } from "@mags/protocol";
import { chunkKey } from "@mags/storage";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ADMIN, call, createJob, startWorld, TestNode, type World, workspaces } from "../testing.ts";
import { Writer } from "../workspaces/testing/writer.ts";

let world: World;
let job: Assignment;
beforeAll(async () => {
  world = await startWorld({ workspaces: { ...workspaces, graceMs: 0 } });
  const node = new TestNode(world, "n1");
  await node.register();
  await createJob(world, { workspace_id: "ws" });
  [job] = (await node.claim()) as [Assignment];
  await node.started(job);
  await new Writer(world, node).write(job, ["content"], "completion");
  await node.finished(job);
  // It answers nothing and has nothing: no difference.
  await world.sql.query("UPDATE nodes SET seen_at = now() - interval '1 hour'");
});
afterAll(() => world[Symbol.asyncDispose]());

const fsck = async (repair = false) =>
  (await call(world, repair ? "POST" : "GET", `/api/v1/mags-fsck${repair ? "/repair" : ""}`)).body;
const told = (report: { differences: { kind: string; repaired: boolean | null }[] }) =>
  report.differences.map(({ kind, repaired }) => [kind, repaired]).sort();
const keys = async () => {
  const found: string[] = [];
  for await (const { key } of world.objects.list("orgs/")) found.push(key);
  return found.sort();
};

it("is for who runs the installation", async () => {
  const { body } = await call(world, "POST", "/api/v1/tokens", { name: "admin-of-one", scopes: ["admin"] });
  const headers = { authorization: `Bearer ${body.token}` };
  expect((await call(world, "GET", "/api/v1/mags-fsck", undefined, headers)).status).toBe(403);
});

it("finds nothing in a ledger that is right", async () => {
  expect(await fsck()).toMatchObject({ clean: true, differences: [], looked_at: { objects: 2, workspaces: 1 } });
});

it("mends leases, latest versions and nameless workspaces, and tells of what does not run", async () => {
  await world.sql.query("UPDATE workspaces SET holder_job = $1, latest = $2", [job.id, randomUUID()]);
  await world.sql.query(
    "INSERT INTO workspaces (id, org, name, anonymous, disk_gb, created_at) VALUES ($1, 'default', 'x', true, 1, now() - interval '2 days')",
    [randomUUID()],
  );
  expect(told(await fsck())).toEqual([
    ["holder_gone", null],
    ["latest_missing", null],
    ["workspace_abandoned", null],
  ]);
  expect(told(await fsck(true))).toEqual([
    ["holder_gone", true],
    ["latest_missing", true],
    ["workspace_abandoned", true],
  ]);
  expect(await fsck()).toMatchObject({ clean: true });
  expect((await call(world, "GET", "/api/v1/mags-workspaces/ws")).body).toMatchObject({ latest_version: 1 });
});

it("removes objects that nobody knows, writes lost manifests again and has lost chunks uploaded again", async () => {
  const before = await keys();
  const stray = chunkKey("default", "f".repeat(64), 0);
  await world.objects.put(stray, Buffer.from("stray"));
  await world.objects.delete(before);
  expect(told(await fsck())).toEqual([
    ["object_missing", null],
    ["object_missing", null],
    ["object_unreferenced", null],
  ]);
  expect(await fsck(true)).toMatchObject({ clean: true });
  expect(await keys()).toEqual(before.filter((key) => key.includes("/manifests/")));
  const node = new TestNode(world, "n1");
  await node.register();
  const [claimed] = await new Writer(world, node).claim(["content"]);
  expect(claimed?.missing).toBe(true);
});

it("tells of a node that is silent while by the ledger it has a job, and of that job's lease", async () => {
  const node = new TestNode(world, "n2");
  await node.register();
  await createJob(world);
  const [running] = await node.claim();
  await node.started(running as Assignment);
  await world.sql.query("UPDATE nodes SET seen_at = now() - interval '1 hour' WHERE name = 'n1'");
  const report = await fsck();
  expect(report.differences).toMatchObject([{ kind: "node_silent", where: "n2", repair: null }]);
  expect(report.differences[0].said).toContain("1 job(s)");
});

it("says nothing is clean of a node that one look could not see, nor that a repair worked which it did not see", async () => {
  const leftover = { kind: "cgroup", name: "m0123456789ab", held: false };
  let answers: (object | undefined)[] = [];
  // Answers undefined with a failure, and so it does to what is asked again.
  const agent = createServer((request, response) => {
    const answer = request.method === "POST" ? {} : answers.shift();
    response.writeHead(answer ? 200 : 500).end(JSON.stringify(answer ?? {}));
  }).listen(0, "127.0.0.1");
  await once(agent, "listening");
  const node = new TestNode(world, "n3");
  node.address = `http://127.0.0.1:${(agent.address() as AddressInfo).port}`;
  await node.register();
  await world.sql.query("UPDATE nodes SET seen_at = now() - interval '1 hour' WHERE name <> 'n3'");
  const audit = { jobs: [], traces: [leftover], copies: [], missing_rules: [] };
  const clean = { ...audit, traces: [] };
  const look = async (repair: boolean, ...given: typeof answers) => {
    answers = given;
    await node.renew([]);
    const kept = (await fsck(repair)).differences.filter(({ where }: { where: string }) => where === "n3");
    expect(answers).toEqual([]);
    return told({ differences: kept });
  };
  expect(await look(false, audit, audit)).toEqual([["leftover", null]]);
  expect(await look(false, undefined, audit, audit)).toEqual([["leftover", null]]);
  expect(await look(false, undefined, undefined, audit)).toEqual([["node_silent", null]]);
  expect(await look(true, audit, audit, clean)).toEqual([["leftover", true]]);
  expect(await look(true, audit, audit, undefined, undefined)).toEqual([["leftover", false]]);
  await new Promise((resolve) => agent.close(resolve));
  await world.sql.query("DELETE FROM nodes WHERE name = 'n3'");
}, 60_000);

it("tells a host name that an alias and a job both have", async () => {
  await world.sql.query("UPDATE nodes SET seen_at = now() WHERE name = 'n2'");
  const alias = { subdomain: "shop", workspace_id: "ws", access: "public" };
  expect((await call(world, "POST", "/api/v1/mags-url-aliases", alias)).status).toBeLessThan(300);
  expect(told(await fsck()).map(([kind]) => kind)).not.toContain("host_name_twice");
  await world.sql.query("UPDATE jobs SET subdomain = 'shop' WHERE id = $1", [job.id]);
  expect(told(await fsck(true))).toContainEqual(["host_name_twice", false]);
  await world.sql.query("UPDATE jobs SET subdomain = NULL");
});

it("compares uploads with their objects, and deletes those of no upload", async () => {
  const form = new FormData();
  form.append("file", new Blob([Buffer.alloc(5 * 1024 * 1024)]), "big.bin");
  const headers = { authorization: `Bearer ${ADMIN}` };
  const answer = await fetch(`${world.server.url}/api/v1/mags-files`, { method: "POST", headers, body: form });
  const { file_id: id } = (await answer.json()) as { file_id: string };
  const kinds = async (repair: boolean) =>
    told(await fsck(repair)).filter(([kind]) => String(kind).startsWith("object"));
  await fsck(true);
  expect(await kinds(false)).toEqual([]);
  await world.objects.put(filePartKey("default", randomUUID(), 0), Buffer.from("stray"));
  expect(await kinds(false)).toEqual([["object_unreferenced", null]]);
  expect(await kinds(true)).toEqual([["object_unreferenced", true]]);
  expect(await keys()).toContain(filePartKey("default", id, 1));
  await world.objects.delete([filePartKey("default", id, 1)]);
  expect(await kinds(true)).toEqual([["object_missing", false]]);
});
