import { jobLimits } from "@mags/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { call, createJob, startWorld, TestNode, type World } from "../testing.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
  const node = new TestNode(world, "n1");
  await node.register();
});
afterAll(() => world[Symbol.asyncDispose]());

const rows = async () =>
  Number(
    (
      await world.sql.query(
        "SELECT (SELECT count(*) FROM jobs) + (SELECT count(*) FROM idempotency_keys) + (SELECT count(*) FROM workspaces) AS n",
      )
    ).rows[0].n,
  );
const url = "/api/v1/mags-jobs";

describe("a request that is wrong names the field and creates nothing", () => {
  const table: [string, unknown, number, string, string | undefined][] = [
    ["no script", {}, 400, "invalid_request", "script"],
    ["a script that is a number", { script: 3 }, 400, "invalid_request", "script"],
    ["a script that is null", { script: null }, 400, "invalid_request", "script"],
    ["an empty script", { script: "" }, 400, "invalid_request", "script"],
    ["a script with a NUL", { script: "a\0b" }, 400, "invalid_request", "script"],
    ["a script with half a surrogate pair", { script: "a\ud800" }, 400, "invalid_request", "script"],
    ["a name with a NUL", { script: "a", name: "a\0" }, 400, "invalid_request", "name"],
    ["a script over 1 MiB", { script: "x".repeat(jobLimits.scriptBytes + 1) }, 400, "invalid_request", "script"],
    ["persistent as text", { script: "a", persistent: "yes" }, 400, "invalid_request", "persistent"],
    ["environment as a list", { script: "a", environment: ["A=1"] }, 400, "invalid_request", "environment"],
    [
      "a name that is no variable name",
      { script: "a", environment: { "1A": "x" } },
      400,
      "invalid_request",
      "environment.1A",
    ],
    ["a name with a space", { script: "a", environment: { "A B": "x" } }, 400, "invalid_request", "environment.A B"],
    ["a value that is a number", { script: "a", environment: { A: 1 } }, 400, "invalid_request", "environment.A"],
    ["a negative timeout", { script: "a", timeout: -1 }, 400, "invalid_request", "timeout"],
    ["a huge timeout", { script: "a", timeout: 1e9 }, 400, "invalid_request", "timeout"],
    ["a fraction as timeout", { script: "a", timeout: 1.5 }, 400, "invalid_request", "timeout"],
    ["negative memory", { script: "a", memory_mb: -1 }, 400, "invalid_request", "memory_mb"],
    ["huge memory", { script: "a", memory_mb: 1e12 }, 400, "invalid_request", "memory_mb"],
    ["negative vcpus", { script: "a", vcpus: -1 }, 400, "invalid_request", "vcpus"],
    ["huge vcpus", { script: "a", vcpus: 1e6 }, 400, "invalid_request", "vcpus"],
    ["more vcpus than any node has", { script: "a", vcpus: 8 }, 422, "too_big_for_nodes", "vcpus"],
    ["more memory than any node has", { script: "a", memory_mb: 8192 }, 422, "too_big_for_nodes", "memory_mb"],
    ["isolation that no node has", { script: "a", isolation: "vm" }, 422, "isolation_unavailable", "isolation"],
    ["a runtime that no node has", { script: "a", runtime: "qemu" }, 422, "isolation_unavailable", "runtime"],
    [
      "a runtime that is not that isolation",
      { script: "a", isolation: "vm", runtime: "container" },
      400,
      "invalid_request",
      "runtime",
    ],
    ["isolation that nobody knows", { script: "a", isolation: "magic" }, 400, "invalid_request", "isolation"],
    ["an image that nobody has", { script: "a", rootfs_type: "nope" }, 400, "invalid_request", "rootfs_type"],
    ["a script by URL", { script: "a", type: "url" }, 400, "invalid_request", "type"],
    ["no_sleep without persistent", { script: "a", no_sleep: true }, 400, "invalid_request", "no_sleep"],
    ["a workspace that is a path", { script: "a", workspace_id: "../w" }, 400, "invalid_request", "workspace_id"],
    ["a workspace that begins with a dot", { script: "a", workspace_id: ".w" }, 400, "invalid_request", "workspace_id"],
    ["a long workspace", { script: "a", workspace_id: "w".repeat(64) }, 400, "invalid_request", "workspace_id"],
    ["a workspace that is a number", { script: "a", workspace_id: 7 }, 400, "invalid_request", "workspace_id"],
    [
      "a workspace for nothing",
      { script: "a", workspace_id: "w", ephemeral: true },
      400,
      "invalid_request",
      "ephemeral",
    ],
    ["an unknown base", { script: "a", base_workspace_id: "none" }, 400, "invalid_request", "base_workspace_id"],
    ["a version that is none", { script: "a", base_workspace_id: "b@0" }, 400, "invalid_request", "base_workspace_id"],
    [
      "a new workspace on an unknown base",
      { script: "a", workspace_id: "w", base_workspace_id: "none@2" },
      400,
      "invalid_request",
      "base_workspace_id",
    ],
    ["another way to be busy", { script: "a", workspace_id: "w", on_busy: "ask" }, 400, "invalid_request", "on_busy"],
    ["a disk of nothing", { script: "a", workspace_id: "w", disk_gb: 0 }, 400, "invalid_request", "disk_gb"],
    ["too much for a new workspace", { script: "a", workspace_id: "w", vcpus: 8 }, 422, "too_big_for_nodes", "vcpus"],
    [
      "memory in the old spelling that is no number",
      { script: "a", environment: { __MAGS_MEM_GB: "lots" } },
      400,
      "invalid_request",
      "environment.__MAGS_MEM_GB",
    ],
    ["malformed JSON", '{"script": "a"', 400, "malformed_json", undefined],
    ["a JSON array", "[]", 400, "malformed_json", undefined],
    ["an empty body", "", 400, "malformed_json", undefined],
    [
      "a body over the limit",
      JSON.stringify({ script: "a", x: "y".repeat(jobLimits.bodyBytes) }),
      413,
      "too_large",
      undefined,
    ],
  ];
  it.each(table)("%s", async (_, body, status, code, field) => {
    const before = await rows();
    const answer = await call(world, "POST", url, body, {
      "idempotency-key": "of a bad request",
      "content-type": "application/json",
    });
    expect([answer.status, answer.body.error.code, answer.body.error.field]).toEqual([status, code, field]);
    if (field) expect(answer.body.message).toContain(field);
    expect(answer.body.error.hint).toBeTruthy();
    expect(answer.headers.get("x-request-id")).toBe(answer.body.error.request_id);
    expect(JSON.stringify(answer.body)).not.toContain("at /");
    expect(await rows()).toBe(before);
  });
});

describe("tokens", () => {
  it.each([
    ["missing", ""],
    ["wrong", "Bearer nope"],
    ["of another scheme", "Basic YTpi"],
  ])("a token that is %s is refused", async (_, authorization) => {
    const before = await rows();
    const answer = await call(world, "POST", url, { script: "true" }, { authorization });
    expect([answer.status, answer.body.error.code]).toEqual([401, "unauthorized"]);
    expect((await call(world, "POST", "/node/v1/claim", {}, { authorization })).status).toBe(401);
    expect(await rows()).toBe(before);
  });
  it("is stored as a hash only", async () => {
    const { rows: tokens } = await world.sql.query("SELECT * FROM tokens");
    expect(JSON.stringify(tokens)).not.toContain("admin-token");
  });
});

describe("addresses", () => {
  it.each(["0d8f2b6e-4b0e-4a7e-9b55-111111111111", "no-such-name", "%00", "a".repeat(400)])(
    "an unknown job %s",
    async (id) => {
      for (const [method, path] of [
        ["GET", "status"],
        ["GET", "logs"],
        ["POST", "stop"],
      ] as const) {
        const answer = await call(world, method, `${url}/${id}/${path}`);
        expect(answer.status).toBe(id === "%00" ? 400 : 404);
      }
    },
  );
  it("an unknown path and a wrong method are told apart", async () => {
    expect((await call(world, "GET", "/api/v1/nothing")).status).toBe(404);
    const wrong = await call(world, "DELETE", url);
    expect([wrong.status, wrong.headers.get("allow")]).toEqual([405, "GET, HEAD, POST"]);
  });
  it("bad queries are refused by name", async () => {
    expect((await call(world, "GET", `${url}?page_size=1000`)).body.error.field).toBe("page_size");
    expect((await call(world, "GET", `${url}?status=unheard`)).body.error.field).toBe("status");
    expect((await call(world, "GET", `${url}?name=%00`)).status).toBe(400);
    const { body } = await createJob(world);
    const status = await call(world, "GET", `${url}/${body.request_id}/status?wait=long`);
    expect([status.body.error.field, status.body.message]).toEqual(["wait", "wait must be a number"]);
    const logs = `${url}/${body.request_id}/logs`;
    expect((await call(world, "GET", `${logs}?after=1`)).body.error.field).toBe("after");
    const resumed = await call(world, "GET", `${logs}?follow=1`, undefined, { "last-event-id": "1" });
    expect(resumed.body.error.field).toBe("last-event-id");
  });
});

it("honours the old spellings in the environment, and does not pass them on", async () => {
  const environment = {
    A: "1",
    __MAGS_IDLE_MIN: "7",
    __MAGS_KEEP_ALIVE: "1",
    __MAGS_MEM_GB: "0.5",
    __MAGS_ROOTFS_TYPE: "base",
  };
  const { body } = await createJob(world, { persistent: true, environment });
  const { rows: found } = await world.sql.query("SELECT spec FROM jobs WHERE id = $1", [body.request_id]);
  expect(found[0].spec).toMatchObject({
    environment: { A: "1" },
    idle_minutes: 7,
    no_sleep: true,
    memory_mb: 512,
    rootfs_type: "base",
  });
  expect(Object.keys(found[0].spec.environment)).toEqual(["A"]);
});

it("lists newest first, by page, status and name, under both versions of the API", async () => {
  for (const name of ["l1", "l2", "l3"]) await createJob(world, { name });
  const { body } = await call(world, "GET", "/api/v2/mags-jobs?page=1&page_size=2&status=accepted");
  expect(body.jobs.map((job: { name: string }) => job.name)).toEqual(["l3", "l2"]);
  expect((await call(world, "GET", `${url}?name=l1`)).body.total).toBe(1);
});

describe("Idempotency-Key", () => {
  const post = (key: string, body: object) => createJob(world, body, { "idempotency-key": key });

  it("replays the answer, and says so", async () => {
    const first = await post("k1", { name: "a" });
    const second = await post("k1", { name: "a" });
    expect(second.body).toEqual(first.body);
    expect([
      first.headers.get("idempotency-replayed"),
      second.headers.get("idempotency-replayed"),
      second.status,
    ]).toEqual([null, "true", 202]);
  });
  it("refuses the key for another request", async () => {
    await post("k2", { name: "a" });
    const other = await post("k2", { name: "b" });
    expect([other.status, other.body.error.code]).toEqual([409, "idempotency_mismatch"]);
  });
  it("makes one job of many concurrent requests", async () => {
    const answers = await Promise.all(Array.from({ length: 16 }, () => post("k3", { name: "concurrent" })));
    expect(new Set(answers.map((a) => a.body.request_id)).size).toBe(1);
    expect((await call(world, "GET", `${url}?name=concurrent`)).body.total).toBe(1);
  });
  it("forgets the key after 24 hours", async () => {
    const first = await post("k4", {});
    await world.sql.query("UPDATE idempotency_keys SET created_at = now() - interval '25 hours' WHERE key = 'k4'");
    expect((await post("k4", {})).body.request_id).not.toBe(first.body.request_id);
  });
  it("works for stop too", async () => {
    const { body } = await post("k5", {});
    const stop = () => call(world, "POST", `${url}/${body.request_id}/stop`, undefined, { "idempotency-key": "k6" });
    const [first, second] = [await stop(), await stop()];
    expect([first.status, second.status, second.body]).toEqual([202, 202, first.body]);
  });
});

it("a persistent job cannot be started again, and the answer says what it has instead", async () => {
  const { status, body } = await createJob(world, { node_retries: 1, persistent: true });
  expect([status, body.error.field]).toEqual([400, "node_retries"]);
  expect(body.message).toContain("no_sleep");
});
