/** Taking a node out of service, as the agents and who runs the installation see it. */
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { call, createJob, startWorld, TestNode, type World } from "../testing.ts";
import { Writer } from "../workspaces/testing/writer.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world[Symbol.asyncDispose]());
afterEach(() => world.sql.query("TRUNCATE jobs, nodes CASCADE"));

async function registered(name: string): Promise<TestNode> {
  const node = new TestNode(world, name);
  await node.register();
  return node;
}
const post = (name: string, verb: string) => call(world, "POST", `/api/v1/nodes/${name}/${verb}`);
const stateOf = async (name: string) => {
  const { nodes } = (await call(world, "GET", "/api/v1/nodes")).body;
  return nodes.find((node: { name: string }) => node.name === name);
};

it("a draining node ends what it has and gets nothing new, also as another process; another node gets it", async () => {
  const [a, b] = [await registered("a"), await registered("b")];
  await createJob(world, { vcpus: 2 });
  const [job] = await a.claim();
  await a.started(job!);
  expect(await stateOf("a")).toMatchObject({ state: "ready", jobs: 1, used_vcpus: 2 });
  expect((await post("a", "drain")).body).toMatchObject({ name: "a", state: "draining", jobs: 1 });
  await createJob(world);
  expect(await a.claim()).toEqual([]);
  const restarted = await registered("a");
  expect(await restarted.claim()).toEqual([]);
  expect(await b.claim()).toHaveLength(1);
  const { held } = (await restarted.register()).body;
  await restarted.finished(held[0]);
  expect(await stateOf("a")).toMatchObject({ state: "drained", jobs: 0 });
  expect((await post("a", "undrain")).body.state).toBe("ready");
  await createJob(world);
  expect(await restarted.claim()).toHaveLength(1);
});

it("a persistent machine sleeps when nobody is in it, and one that may not sleep wakes elsewhere at once", async () => {
  const [a, b] = [await registered("a"), await registered("b")];
  await createJob(world, { persistent: true });
  await createJob(world, { persistent: true, no_sleep: true });
  const jobs = await a.claim();
  for (const job of jobs) await a.started(job);
  const renew = async (idle_ms: number) => {
    const body = {
      node: "a",
      boot_id: a.bootId,
      jobs: jobs.map(({ id, attempt }) => ({ id, attempt, idle_ms, because: "x" })),
    };
    return (await call(world, "POST", "/node/v1/renew", body)).body.sleep;
  };
  expect(await renew(5)).toEqual([]);
  await post("a", "drain");
  expect(await renew(0)).toEqual([]);
  const orders = await renew(5);
  expect(orders.map(({ id }: { id: string }) => id).sort()).toEqual(jobs.map(({ id }) => id).sort());
  // A machine that came up only a moment ago is not fetched back by itself.
  await world.sql.query("UPDATE jobs SET activity_since = now() - interval '1 hour'");
  for (const job of jobs) await new Writer(world, a).progress(job, { dirty: false });
  for (const { id, attempt } of jobs) await a.report({ event: "slept", id, attempt, because: orders[0].because });
  expect(await stateOf("a")).toMatchObject({ state: "drained" });
  const moved = await b.claim();
  expect(moved).toMatchObject([{ id: jobs[1]?.id, wake: { count: 1 } }]);
});

it("only who runs the installation sees nodes; an unknown one is not found", async () => {
  expect((await post("nobody", "drain")).status).toBe(404);
  const token = await call(world, "POST", "/api/v1/tokens", { name: "admin-2", scopes: ["admin"] });
  const headers = { authorization: `Bearer ${token.body.token}` };
  expect((await call(world, "GET", "/api/v1/nodes", undefined, headers)).status).toBe(403);
  expect((await call(world, "POST", "/api/v1/nodes/a/drain", undefined, headers)).status).toBe(403);
});
