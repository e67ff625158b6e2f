import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Answer, call, createJob, startWorld, TestNode, type World } from "../testing.ts";

let world: World;
let node: TestNode;
beforeAll(async () => {
  world = await startWorld();
  node = new TestNode(world, "n1");
  node.size = { vcpus: 64, memory_mb: 65536 };
  await node.register();
});
afterAll(() => world[Symbol.asyncDispose]());

let number = 0;
async function organisation(quota: object) {
  const id = `org-${number++}`;
  const made = await call(world, "POST", "/api/v1/organisations", { id });
  const set = await call(world, "PATCH", `/api/v1/organisations/${id}/quota`, quota);
  expect(set.status).toBe(200);
  return { id, as: { authorization: `Bearer ${made.body.token.token}` } };
}
const show = async (as: Record<string, string>) => (await call(world, "GET", "/api/v1/quota", undefined, as)).body;
const codes = (answers: Answer[]) => answers.map(({ status }) => status).sort();

describe("a quota", () => {
  it("holds however many jobs come at the same moment, at several servers", async () => {
    const { as } = await organisation({ sandboxes: 5 });
    const second = await world.startServer();
    try {
      const post = (url: string) =>
        fetch(`${url}/api/v1/mags-jobs`, {
          method: "POST",
          headers: { ...as, "content-type": "application/json" },
          body: '{"script":"true"}',
        });
      const answers = await Promise.all(
        Array.from({ length: 40 }, (_, index) => post(index % 2 ? second.url : world.server.url)),
      );
      expect(answers.filter(({ status }) => status === 202).length).toBe(5);
      expect(answers.filter(({ status }) => status === 403).length).toBe(35);
      expect((await show(as)).used).toMatchObject({ sandboxes: 5, vcpus: 5, memory_mb: 2560 });
    } finally {
      await second.close();
    }
  });

  it.each([
    ["sandboxes", { sandboxes: 2 }, {}],
    ["vcpus", { vcpus: 4 }, { vcpus: 2 }],
    ["memory_mb", { memory_mb: 2000 }, { memory_mb: 1000 }],
  ])("of %s says what is there, what may be and what to do", async (field, quota, job) => {
    const { as } = await organisation(quota);
    expect((await createJob(world, job, as)).status).toBe(202);
    const second = await createJob(world, job, as);
    expect(second.status).toBe(202);
    const third = await createJob(world, job, as);
    expect(third).toMatchObject({ status: 403, body: { error: { code: "quota_exceeded", field } } });
    expect(third.body.message).toMatch(/has .* may have .* stop or put to sleep/);
    await call(world, "POST", `/api/v1/mags-jobs/${second.body.request_id}/stop`, undefined, as);
    expect((await createJob(world, job, as)).status).toBe(202);
  });

  it("does not count sleeping machines, and is asked when one wakes", async () => {
    const { as } = await organisation({ sandboxes: 1 });
    const job = await createJob(world, { persistent: true, name: "sleeper" }, as);
    const [assignment] = await node
      .claim({ max: 1000 })
      .then((jobs) => jobs.filter(({ id }) => id === job.body.request_id));
    if (!assignment) throw new Error("the job was not handed out");
    const { id, attempt } = assignment;
    await node.started({ id, attempt });
    await node.report({ event: "slept", id, attempt, because: "test" });
    const other = await createJob(world, {}, as);
    expect(other.status).toBe(202);
    const wake = await call(world, "POST", `/api/v1/mags-jobs/${id}/wake`, undefined, as);
    expect(wake).toMatchObject({ status: 403, body: { error: { code: "quota_exceeded" } } });
    await call(world, "POST", `/api/v1/mags-jobs/${other.body.request_id}/stop`, undefined, as);
    const waking = call(world, "POST", `/api/v1/mags-jobs/${id}/wake`, undefined, as);
    await expect.poll(async () => (await show(as)).used.sandboxes, { timeout: 20_000 }).toBe(1);
    await call(world, "POST", `/api/v1/mags-jobs/${id}/stop`, undefined, as);
    await waking;
  });

  it("of jobs a minute answers 429 with Retry-After, also when all come at once", async () => {
    const { as } = await organisation({ jobs_per_minute: 6 });
    const answers = await Promise.all(Array.from({ length: 20 }, () => createJob(world, {}, as)));
    const refused = answers.filter(({ status }) => status === 429);
    // One more may have been filled in while they were judged.
    expect(answers.filter(({ status }) => status === 202).length).toBeGreaterThanOrEqual(6);
    expect(refused.length).toBeGreaterThanOrEqual(12);
    expect(refused[0]?.body.error.code).toBe("rate_limited");
    expect(Number(refused[0]?.headers.get("retry-after"))).toBe(10);
    expect((await show(as)).used.jobs_per_minute).toBe(20 - refused.length);
  });

  it("of workspaces holds however many are made at the same moment, and names what to do", async () => {
    const { as } = await organisation({ workspaces: 3 });
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, index) => createJob(world, { workspace_id: `w${index}` }, as)),
    );
    expect(codes(answers).filter((status) => status === 202)).toHaveLength(3);
    const refused = answers.find(({ status }) => status === 403);
    expect(refused?.body.error).toMatchObject({ code: "quota_exceeded", field: "workspace_id" });
    expect(refused?.body.message).toMatch(/has 3 workspaces and may have 3: delete/);
    expect((await show(as)).used.workspaces).toBe(3);
  });

  it("of what is stored refuses a job that would write to a workspace, and no other", async () => {
    const { id, as } = await organisation({ stored_bytes: 1000 });
    await world.sql.query(
      "INSERT INTO chunks (org, hash, epoch, bytes, stored_bytes, state, claimed_at) VALUES ($1, repeat('a', 64), 1, 1, 1001, 'stored', now())",
      [id],
    );
    const refused = await createJob(world, { workspace_id: "w" }, as);
    expect(refused).toMatchObject({ status: 403, body: { error: { code: "quota_exceeded" } } });
    expect(refused.body.message).toMatch(/has 1001 bytes .* may have 1000: delete/);
    expect((await createJob(world, {}, as)).status).toBe(202);
    expect((await show(as)).used.stored_bytes).toBe(1001);
  });

  it("that is taken back is the server's default, and 0 allows nothing", async () => {
    const { id, as } = await organisation({ sandboxes: 0, workspaces: 3 });
    expect((await createJob(world, {}, as)).status).toBe(403);
    expect((await show(as)).limits).toMatchObject({ sandboxes: 0, workspaces: 3 });
    const set = await call(world, "PATCH", `/api/v1/organisations/${id}/quota`, { sandboxes: null, workspaces: null });
    expect(set.body.limits).toMatchObject({ sandboxes: null, workspaces: 1000, stored_bytes: 2 ** 40 });
    expect(codes([await createJob(world, {}, as)])).toEqual([202]);
  });

  it("is set by who runs the server alone, for an organisation that exists, to something that is a limit", async () => {
    const { id, as } = await organisation({ sandboxes: 1 });
    const path = `/api/v1/organisations/${id}/quota`;
    expect((await call(world, "PATCH", path, { sandboxes: 100 }, as)).status).toBe(403);
    expect((await call(world, "GET", path, undefined, as)).status).toBe(403);
    expect((await call(world, "PATCH", "/api/v1/organisations/none/quota", { sandboxes: 1 })).status).toBe(404);
    for (const wrong of [{ sandboxes: -1 }, { sandboxes: "many" }, {}, { machines: 1 }])
      expect((await call(world, "PATCH", path, wrong)).status, JSON.stringify(wrong)).toBe(400);
  });

  it("makes a run of a schedule fail with its reason", async () => {
    const { as } = await organisation({ sandboxes: 0 });
    const cron = await call(
      world,
      "POST",
      "/api/v1/mags-cron",
      { name: "c", cron_expression: "@yearly", script: "true" },
      as,
    );
    expect((await call(world, "POST", `/api/v1/mags-cron/${cron.body.id}/run`, undefined, as)).body.error.code).toBe(
      "quota_exceeded",
    );
  });

  it("is read again by more jobs at once than the server has connections, and none waits for another for ever", async () => {
    const { id, as } = await organisation({ sandboxes: 1000 });
    const workspaces = Array.from({ length: 60 }, (_, index) => `at-once-${index}`);
    // Now nobody knows the limits any more.
    await call(world, "PATCH", `/api/v1/organisations/${id}/quota`, { sandboxes: null });
    const answers = await Promise.all(workspaces.map((name) => createJob(world, { workspace_id: name }, as)));
    expect(new Set(codes(answers))).toEqual(new Set([202]));
  });
});
