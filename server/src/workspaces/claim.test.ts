import { setTimeout as sleep } from "node:timers/promises";
import type { Assignment } from "@mags/protocol";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { call, createJob, startWorld, TestNode, type World } from "../testing.ts";
import { Writer } from "./testing/writer.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world[Symbol.asyncDispose]());
afterEach(() => world.sql.query("TRUNCATE jobs, nodes, workspaces, versions, manifests, chunks CASCADE"));

async function registered(name: string): Promise<TestNode> {
  const node = new TestNode(world, name);
  await node.register();
  return node;
}
const status = async (id: string) => (await call(world, "GET", `/api/v1/mags-jobs/${id}/status`)).body;
const claimOne = async (node: TestNode): Promise<Assignment> => {
  const jobs = await node.claim();
  expect(jobs).toHaveLength(1);
  return jobs[0]!;
};
async function start(node: TestNode, job: object): Promise<Assignment> {
  await createJob(world, job);
  const claimed = await claimOne(node);
  await node.started(claimed);
  return claimed;
}

describe("the disk of a job", () => {
  it("is none of anybody's where nothing is named", async () => {
    const node = await registered("a");
    expect(await start(node, { ephemeral: true })).toMatchObject({ volume: null, host_job: null, waited_ms: null });
    expect((await world.sql.query("SELECT 1 FROM workspaces")).rowCount).toBe(0);
  });

  it("is a new workspace, then the latest version of it, and the fence grows", async () => {
    const node = await registered("a");
    const writer = new Writer(world, node);
    const first = await start(node, { workspace_id: "ws" });
    expect(first.volume).toMatchObject({
      workspace: { name: "ws", fence: 1 },
      version: null,
      source: "empty",
      disk_gb: 2,
    });
    const version = await writer.write(first, ["one"], "completion");
    await node.finished(first);
    const second = await start(node, { workspace_id: "ws", disk_gb: 5 });
    expect(second.volume).toEqual({
      workspace: { id: first.volume?.workspace?.id, name: "ws", fence: 2 },
      version,
      source: "latest",
      disk_gb: 5,
      dirty: false,
    });
    await node.finished(second);
    expect((await start(node, { workspace_id: "ws", disk_gb: 3 })).volume?.disk_gb).toBe(5);
    expect(await status("ws")).toMatchObject({ workspace_id: "ws", base_workspace_id: null, status: "running" });
  });

  it("is a version of the base and no workspace for a base alone, for many at a time", async () => {
    const node = await registered("a");
    const made = await start(node, { workspace_id: "base" });
    const version = await new Writer(world, node).write(made, ["one"], "completion");
    for (const base of ["base", "base@1", "base@latest"]) await createJob(world, { base_workspace_id: base });
    const jobs = await node.claim();
    expect(jobs.map((job) => job.volume)).toEqual(
      Array(3).fill({ workspace: null, version, source: "base", disk_gb: 2, dirty: false }),
    );
  });

  it("is a fork: from the base at first, then from its own latest; later versions of the base are not seen", async () => {
    const node = await registered("a");
    const writer = new Writer(world, node);
    const base = await start(node, { workspace_id: "base" });
    const version = await writer.write(base, ["one"]);
    await createJob(world, { workspace_id: "fork", base_workspace_id: "base" });
    await writer.write(base, ["two"], "completion");
    const fork = await claimOne(node);
    expect(fork.volume).toMatchObject({ workspace: { name: "fork" }, version, source: "base" });
    await node.started(fork);
    const own = await writer.write(fork, ["one", "more"], "completion");
    expect(own.number).toBe(1);
    await node.finished(fork);
    const again = await start(node, { workspace_id: "fork", base_workspace_id: "base" });
    expect(again.volume).toMatchObject({ version: own, source: "latest" });
  });

  it("is an anonymous workspace for a persistent job that names none; it ends with the job", async () => {
    const node = await registered("a");
    const job = await start(node, { persistent: true });
    expect(job.volume?.workspace).toMatchObject({ name: job.id, fence: 1 });
    await new Writer(world, node).write(job, ["x"], "interval");
    expect(await status(job.id)).toMatchObject({ workspace_id: null, waiting_for: null });
    await node.finished(job, { reason: "stopped" });
    const left = await world.sql.query("SELECT id FROM workspaces UNION ALL SELECT id FROM versions");
    expect(left.rowCount).toBe(0);
  });

  it("keeps to the image that it was written over", async () => {
    const node = await registered("a");
    await start(node, { workspace_id: "ws", rootfs_type: "base" });
    const other = await createJob(world, { workspace_id: "ws", rootfs_type: "other" });
    expect([other.status, other.body.error.field]).toEqual([400, "rootfs_type"]);
    await createJob(world, { workspace_id: "ws" });
    const { rows } = await world.sql.query("SELECT rootfs_type FROM jobs");
    expect(rows.map((row) => row.rootfs_type)).toEqual(["base", "base"]);
  });
});

describe("one writer at a time", () => {
  it("of many jobs on one workspace exactly one runs, in the order of their requests, on any number of nodes", async () => {
    const nodes = await Promise.all(["a", "b", "c"].map(registered));
    const wanted = [];
    for (let i = 0; i < 12; i++) wanted.push((await createJob(world, { workspace_id: "ws" })).body.request_id);
    const ran: string[] = [];
    for (let left = 12; left > 0; left--) {
      let taken: { node: TestNode; job: Assignment }[] = [];
      while (taken.length === 0) {
        const claims = await Promise.all(
          nodes.map(async (node) => (await node.claim({ waitMs: 50 })).map((job) => ({ node, job }))),
        );
        taken = claims.flat();
      }
      expect(taken).toHaveLength(1);
      const { node, job } = taken[0]!;
      expect(job.volume?.workspace?.fence).toBe(ran.length + 1);
      ran.push(job.id);
      await node.finished(job);
      await world.sql.query("UPDATE workspaces SET used_at = now() - interval '5 seconds'");
      await world.sql.query("UPDATE jobs SET created_at = now() - interval '5 seconds'");
    }
    expect(ran).toEqual(wanted);
  });

  it("the next one is woken when the workspace is free, and told that it waited; meanwhile its status says for what", async () => {
    const node = await registered("a");
    const first = await start(node, { workspace_id: "ws" });
    const { body } = await createJob(world, { workspace_id: "ws" });
    expect((await status(body.request_id)).waiting_for).toBe(`workspace "ws", which ${first.id} has`);
    expect((await call(world, "GET", "/api/v1/mags-jobs?workspace_id=ws")).body.jobs[0].waiting_for).toContain("ws");
    const claim = node.claim({ waitMs: 10_000 });
    await sleep(300);
    const since = performance.now();
    await node.finished(first);
    const [second] = await claim;
    expect(performance.now() - since).toBeLessThan(900);
    expect(second).toMatchObject({ id: body.request_id, volume: { workspace: { fence: 2 } } });
    expect(second?.waited_ms).toBeGreaterThan(250);
    expect((await status(body.request_id)).waiting_for).toBeNull();
  });

  it("on_busy fail is answered 409 with who has it, and nothing is created", async () => {
    const node = await registered("a");
    const first = await start(node, { workspace_id: "ws" });
    const busy = await createJob(world, { workspace_id: "ws", on_busy: "fail" });
    expect([busy.status, busy.body.error.code]).toEqual([409, "workspace_in_use"]);
    expect(busy.body.message).toContain(first.id);
    expect((await world.sql.query("SELECT 1 FROM jobs")).rowCount).toBe(1);
    await node.finished(first);
    expect((await createJob(world, { workspace_id: "ws", on_busy: "fail" })).status).toBe(202);
    expect((await createJob(world, { workspace_id: "ws", on_busy: "fail" })).status).toBe(409);
  });

  it("a job that asks for another network than that of the machine which it would share is refused", async () => {
    const node = await registered("a");
    const network = { allow: ["example.com"] };
    const host = await start(node, { workspace_id: "ws", persistent: true, network });
    expect((await status(host.id)).network).toEqual(network);
    for (const other of ["none", { allow: ["example.org"] }]) {
      const refused = await createJob(world, { workspace_id: "ws", network: other });
      expect([refused.status, refused.body.error]).toMatchObject([409, { code: "conflict", field: "network" }]);
      expect(refused.body.message).toContain(host.id);
    }
    expect((await createJob(world, { workspace_id: "ws", network })).status).toBe(202);
    expect((await createJob(world, { workspace_id: "ws" })).status).toBe(202);
    expect((await createJob(world, { workspace_id: "other", network: "none" })).status).toBe(202);
    expect((await world.sql.query("SELECT 1 FROM jobs")).rowCount).toBe(4);
  });

  it("a job on the workspace of a persistent one that runs shares its machine, whatever room there is", async () => {
    const [node, other] = [await registered("a"), await registered("b")];
    const host = await start(node, { workspace_id: "ws", persistent: true });
    await createJob(world, { workspace_id: "ws", on_busy: "fail" });
    expect(await other.claim()).toEqual([]);
    const [guest] = await node.claim({ vcpus: 0, memoryMb: 0 });
    expect(guest).toMatchObject({ host_job: host.id, volume: null });
    await node.started(guest!);
    expect(await status(guest!.id)).toMatchObject({ host_job: host.id, workspace_id: "ws", status: "running" });
    expect((await status("ws")).request_id).toBe(host.id);
    await node.finished(guest!);
    expect((await world.sql.query("SELECT holder_job FROM workspaces")).rows).toEqual([{ holder_job: host.id }]);
    await call(world, "POST", `/api/v1/mags-jobs/${host.id}/stop`);
    await createJob(world, { workspace_id: "ws" });
    expect(await node.claim()).toEqual([]);
  });

  it("a guest whose host was gone before it began waits again", async () => {
    const node = await registered("a");
    const host = await start(node, { workspace_id: "ws", persistent: true });
    await createJob(world, { workspace_id: "ws" });
    const guest = await claimOne(node);
    await node.finished(host);
    const back = { event: "returned" as const, id: guest.id, attempt: guest.attempt, message: "the machine is gone" };
    expect((await node.report(back)).status).toBe(200);
    const again = await claimOne(node);
    expect(again).toMatchObject({ id: guest.id, host_job: null, volume: { workspace: { name: "ws" } } });
    expect((await node.report(back)).status).toBe(409);
    await node.started(again);
    await node.report({ ...back, attempt: again.attempt });
    expect((await status(again.id)).status).toBe("running");
  });

  it("a guest that is to stop, and whose host was gone before it began, is stopped", async () => {
    const node = await registered("a");
    const host = await start(node, { workspace_id: "ws", persistent: true });
    await createJob(world, { workspace_id: "ws" });
    const guest = await claimOne(node);
    await call(world, "POST", `/api/v1/mags-jobs/${guest.id}/stop`);
    await node.report({ event: "returned", id: guest.id, attempt: guest.attempt, message: "the machine is gone" });
    expect(await status(guest.id)).toMatchObject({ status: "stopped", reason: "stopped" });
    expect((await world.sql.query("SELECT holder_job FROM workspaces")).rows).toEqual([{ holder_job: host.id }]);
  });

  it("a claim that never reached its node gives the workspace back", async () => {
    const node = await registered("a");
    await createJob(world, { workspace_id: "ws" });
    const [job] = await node.claim();
    await node.report({ event: "returned", id: job!.id, attempt: job!.attempt, message: "" });
    expect((await claimOne(node)).volume?.workspace?.fence).toBe(2);
  });

  it("a job that is stopped while it waits does not take the workspace from its holder", async () => {
    const node = await registered("a");
    const first = await start(node, { workspace_id: "ws" });
    const { body } = await createJob(world, { workspace_id: "ws" });
    await call(world, "POST", `/api/v1/mags-jobs/${body.request_id}/stop`);
    expect((await world.sql.query("SELECT holder_job FROM workspaces")).rows).toEqual([{ holder_job: first.id }]);
  });
});

describe("where the newest copy is", () => {
  it("the node that has it is given two seconds", async () => {
    const [node, other] = [await registered("a"), await registered("b")];
    const job = await start(node, { workspace_id: "ws" });
    await new Writer(world, node).write(job, ["x"], "completion");
    await node.finished(job);
    await createJob(world, { workspace_id: "ws" });
    expect(await other.claim()).toEqual([]);
    await sleep(2100);
    expect(await other.claim()).toHaveLength(1);
  });

  it("what is not durable stays on its node until that is silent for long, and the job says so", async () => {
    const [node, other] = [await registered("a"), await registered("b")];
    const job = await start(node, { workspace_id: "ws" });
    await node.finished(job);
    const { body } = await createJob(world, { workspace_id: "ws" });
    await world.sql.query("UPDATE workspaces SET used_at = now() - interval '1 hour'");
    await world.sql.query("UPDATE jobs SET created_at = now() - interval '1 hour'");
    expect(await other.claim()).toEqual([]);
    expect((await status(body.request_id)).waiting_for).toContain("node a has changes");
    const silent = () => world.sql.query("UPDATE nodes SET seen_at = now() - interval '31 seconds' WHERE name = 'a'");
    await silent();
    // While no server is there nobody can be heard, so a silence means nothing at first.
    await world.restartServer();
    await silent();
    expect(await other.claim()).toEqual([]);
    await sleep(10_500);
    await silent();
    const taken = await claimOne(other);
    expect(taken.volume).toMatchObject({ dirty: false, workspace: { fence: 2 } });
    const late = await new Writer(world, node).progress(job, { dirty: true });
    expect(late.body).toEqual({ lost: [job.volume?.workspace?.id], raised: [] });
  }, 40_000);

  it("another node is woken when the changes have become durable after the end of the job", async () => {
    const [node, other] = [await registered("a"), await registered("b")];
    const job = await start(node, { workspace_id: "ws" });
    await node.finished(job);
    const next = await createJob(world, { workspace_id: "ws" });
    await world.sql.query("UPDATE workspaces SET used_at = now() - interval '1 hour'");
    await world.sql.query("UPDATE jobs SET created_at = now() - interval '1 hour'");
    const claim = other.claim({ waitMs: 10_000 });
    const version = await new Writer(world, node).write(job, ["late"], "completion");
    expect(await claim).toMatchObject([{ id: next.body.request_id, volume: { version, dirty: false } }]);
  });

  it("a lost node's jobs end, and their workspace comes back from its last version on another", async () => {
    const [node, other] = [await registered("a"), await registered("b")];
    const job = await start(node, { workspace_id: "ws", persistent: true });
    const version = await new Writer(world, node).write(job, ["x"]);
    await world.restartServer();
    await world.sql.query("UPDATE jobs SET lease_until = now() - interval '1 minute'");
    await expect.poll(async () => (await status(job.id)).reason, { timeout: 20_000 }).toBe("node_lost");
    await createJob(world, { workspace_id: "ws" });
    await world.sql.query("UPDATE nodes SET seen_at = now() - interval '1 minute' WHERE name = 'a'");
    expect((await claimOne(other)).volume).toMatchObject({ version, source: "latest", dirty: false });
  });

  it("a new process of the node is told of the disks of the jobs it holds", async () => {
    const node = await registered("a");
    const job = await start(node, { workspace_id: "ws" });
    const version = await new Writer(world, node).write(job, ["x"]);
    const { held } = (await new TestNode(world, "a").register()).body;
    expect(held[0].volume).toMatchObject({ workspace: job.volume?.workspace, version, source: "latest", dirty: true });
  });
});
