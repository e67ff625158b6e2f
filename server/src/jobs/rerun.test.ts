/** A job is run again on exactly what it ran on, or is refused with what is missing. */
import { randomUUID } from "node:crypto";
import type { Assignment } from "@mags/protocol";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { call, createJob, startWorld, TestNode, type World } from "../testing.ts";
import { Writer } from "../workspaces/testing/writer.ts";

let world: World;
let node: TestNode;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world[Symbol.asyncDispose]());
beforeEach(async () => {
  await world.sql.query("TRUNCATE jobs, nodes, workspaces CASCADE");
  node = new TestNode(world, "n1");
  await node.register();
});

const status = async (id: string) => (await call(world, "GET", `/api/v1/mags-jobs/${id}/status`)).body;
const rerun = (id: string, body?: object) => call(world, "POST", `/api/v1/mags-jobs/${id}/rerun`, body);

const spec = async (id: string) => (await world.sql.query("SELECT spec FROM jobs WHERE id = $1", [id])).rows[0].spec;
async function start(job: object): Promise<Assignment> {
  await createJob(world, job);
  const [claimed] = await node.claim();
  await node.started(claimed!);
  return claimed!;
}

it("repeats script, variables and limits on the very image that the job ran on", async () => {
  const job = await start({ script: "echo $X", environment: { X: "1" }, vcpus: 0.5, timeout: 7 });
  await node.finished(job);
  const again = await rerun(job.id);
  expect(again.status).toBe(202);
  expect(await status(again.body.request_id)).toMatchObject({ rerun_of: job.id, timeout: 7 });
  expect(await spec(again.body.request_id)).toMatchObject({
    script: "echo $X",
    environment: { X: "1" },
    vcpus: 0.5,
    image_digest: "0".repeat(64),
  });
  expect((await node.claim())[0]).toMatchObject({ id: again.body.request_id });
});

it("starts from the version that the job began as, however the workspace went on, and does not touch it", async () => {
  const writer = new Writer(world, node);
  for (const text of ["one", "two", "three"]) {
    const job = await start({ workspace_id: "ws" });
    await writer.write(job, [text], "completion");
    await node.finished(job);
  }
  const { jobs } = (await call(world, "GET", "/api/v1/mags-jobs")).body;
  expect(jobs.map((job: { started_from: string }) => job.started_from)).toEqual(["ws@2", "ws@1", null]);
  const again = await rerun(jobs[1].request_id, { workspace_id: "other" });
  const [claimed] = await node.claim();
  expect(claimed).toMatchObject({
    id: again.body.request_id,
    volume: { workspace: { name: "other" }, version: { number: 1 }, source: "base" },
  });
  const discarded = await rerun(jobs[0].request_id);
  expect(discarded.status).toBe(202);
  expect((await node.claim())[0]).toMatchObject({ volume: { workspace: null, version: { number: 2 } } });
  expect(await status(again.body.request_id)).toMatchObject({ started_from: "ws@1", workspace_id: "other" });
});

it("is refused where what it ran on is not settled, not there any more, or would be mixed with other files", async () => {
  const waiting = await createJob(world, { workspace_id: "ws" });
  expect((await rerun(waiting.body.request_id)).body.message).toContain("has not run yet");
  const [first] = await node.claim();
  await node.started(first!);
  await new Writer(world, node).write(first!, ["one"], "completion");
  await node.finished(first!);
  const second = await start({ workspace_id: "ws" });
  await new Writer(world, node).write(second, ["two"], "completion");
  await node.finished(second);
  const taken = await rerun(second.id, { workspace_id: "ws" });
  expect([taken.status, taken.body.error.field]).toEqual([409, "workspace_id"]);
  expect((await call(world, "DELETE", "/api/v1/mags-workspaces/ws/versions/1")).status).toBe(200);
  const gone = await rerun(second.id);
  expect([gone.status, gone.body.message]).toEqual([409, expect.stringContaining("ws@1, which was deleted since")]);
  expect((await rerun(randomUUID())).status).toBe(404);
});

it("is refused where no node has the image any more, and waits for one that has", async () => {
  const job = await start({});
  await node.finished(job);
  node.imageDigests = ["1".repeat(64)];
  node.bootId = randomUUID();
  await node.register();
  const refused = await rerun(job.id);
  expect([refused.status, refused.body.error.code]).toEqual([422, "image_unavailable"]);
  const old = new TestNode(world, "n2");
  await old.register();
  const accepted = await rerun(job.id);
  expect(accepted.status).toBe(202);
  expect(await node.claim()).toEqual([]);
  expect(await old.claim()).toHaveLength(1);
});
