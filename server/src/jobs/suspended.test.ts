/** Jobs whose machines sleep with their memory: which nodes they suit, where they wake, and when what was saved is of no use. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { call, createJob, startWorld, TestNode, type World } from "../testing.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

async function registered(name: string): Promise<TestNode> {
  const node = new TestNode(world, name);
  node.isolation = ["container", "vm"];
  await node.register();
  return node;
}

it("they wake where they fell asleep unless that node has no room, and are forgotten once they are of no use", async () => {
  const containers = new TestNode(world, "containers");
  await containers.register();
  const job = { workspace_id: "w", persistent: true, sleep: "suspend" };
  const refused = await call(world, "POST", "/api/v1/mags-jobs", { script: "true", ...job });
  expect(refused).toMatchObject({ status: 422, body: { error: { code: "isolation_unavailable", field: "sleep" } } });
  const [a, b] = [await registered("a"), await registered("b")];
  await createJob(world, job);
  expect(await containers.claim()).toEqual([]);
  const [first] = await a.claim();
  const { id } = first!;
  const forgotten = async (node: TestNode, wakes: number) =>
    (await node.renew([], [{ id, wakes }])).body.forget.length === 1;
  const asleep = async (node: TestNode, attempt: number) => {
    await node.started({ id, attempt });
    await node.report({ event: "slept", id, attempt, because: "test" });
  };
  const wakes: Promise<unknown>[] = [];
  // Its answer comes when the job is awake.
  const wake = async () => {
    wakes.push(call(world, "POST", `/api/v1/mags-jobs/${id}/wake`));
    const status = () => world.sql.query("SELECT status FROM jobs").then(({ rows }) => rows[0].status);
    await expect.poll(status).toBe("accepted");
  };
  const longAgo = async () => {
    await world.sql.query(
      "UPDATE jobs SET activity_since = now() - interval '3 s', created_at = now() - interval '3 s'",
    );
    await world.sql.query("UPDATE workspaces SET dirty = false, used_at = now() - interval '3 s'");
  };
  await asleep(a, first!.attempt);
  await longAgo();
  expect(await forgotten(a, 0)).toBe(false);
  await wake();
  expect(await b.claim()).toEqual([]);
  const [second] = await a.claim();
  expect(second).toMatchObject({ id, wake: { count: 1 } });
  expect(await forgotten(a, 0)).toBe(false);
  await asleep(a, second!.attempt);
  expect([await forgotten(a, 0), await forgotten(a, 1)]).toEqual([true, false]);
  await wake();
  await longAgo();
  const [third] = await b.claim();
  expect(third).toMatchObject({ id, wake: { count: 2 } });
  expect([await forgotten(a, 1), await forgotten(b, 2)]).toEqual([true, false]);
  await asleep(b, third!.attempt);
  expect(await forgotten(b, 2)).toBe(false);
  await call(world, "POST", `/api/v1/mags-jobs/${id}/stop`);
  expect(await forgotten(b, 2)).toBe(true);
  await Promise.all(wakes);
  expect((await b.renew([], [{ id: randomUUID(), wakes: 0 }])).body.forget).toHaveLength(1);
});
