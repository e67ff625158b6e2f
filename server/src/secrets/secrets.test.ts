import { randomBytes, randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { call, createJob, SECRET_KEY, startWorld, TestNode, type World } from "../testing.ts";
import { SecretKeys } from "./keys.ts";

let world: World;
let node: TestNode;
let secretKeys = [SECRET_KEY];
beforeAll(async () => {
  world = await startWorld({
    get secretKeys() {
      return secretKeys;
    },
  });
  node = new TestNode(world, "n1");
  await node.register();
});
afterAll(() => world[Symbol.asyncDispose]());

const set = (name: string, value: string, headers = {}) =>
  call(world, "PUT", `/api/v1/secrets/${name}`, { value }, headers);
async function handedOut(id: string) {
  const jobs = await node.claim({ max: 100 });
  return jobs.find((job) => job.id === id);
}

describe("a secret", () => {
  it("is given to the job's machine and shown nowhere else", async () => {
    const value = "a value that nobody may see";
    expect((await set("db", value)).body).toMatchObject({
      name: "db",
      version: 1,
      versions: [1],
      updated_by: "token admin",
    });
    const job = await createJob(world, { secrets: { PASSWORD: "db" } });
    const { request_id: id } = job.body;
    const view = await call(world, "GET", `/api/v1/mags-jobs/${id}/status`);
    expect(view.body.secrets).toEqual({ PASSWORD: "db@1" });
    const assignment = await handedOut(id);
    expect(assignment?.secrets).toEqual({ PASSWORD: value });
    expect(JSON.stringify(assignment?.spec)).not.toContain(value);
    const audit = await call(world, "GET", "/api/v1/audit");
    const [read] = audit.body.entries;
    expect(read).toMatchObject({ action: "secret.read", target: "db@1", details: { job: id, variable: "PASSWORD" } });
    // On behalf of whoever made the job, from the address of the node that has it.
    expect(read).toMatchObject({ actor: { kind: "token", name: "admin" }, outcome: "done", address: "127.0.0.1" });
    expect(read.request_id).toBe(view.body.http_request_id);
    const seen = [job.body, view.body, audit.body, (await call(world, "GET", "/api/v1/secrets")).body];
    expect(JSON.stringify(seen)).not.toContain(value);
    for (const table of ["secrets", "jobs", "audit", "idempotency_keys"]) {
      const { rows } = await world.sql.query(`SELECT t::text FROM ${table} t`);
      expect(JSON.stringify(rows), table).not.toContain(value);
      expect(JSON.stringify(rows), table).not.toContain(Buffer.from(value).toString("hex"));
    }
  });

  it("set again is another version; jobs keep the one that they were made with", async () => {
    await set("key", "one");
    const before = await createJob(world, { secrets: { K: "key" } });
    expect((await set("key", "two")).body.versions).toEqual([2, 1]);
    const jobs = [
      before,
      await createJob(world, { secrets: { K: "key" } }),
      await createJob(world, { secrets: { K: "key@1" } }),
    ];
    const given = await node.claim({ max: 100 });
    expect(jobs.map(({ body }) => given.find(({ id }) => id === body.request_id)?.secrets)).toEqual([
      { K: "one" },
      { K: "two" },
      { K: "one" },
    ]);
  });

  it("that is deleted ends the jobs that wait for it, with the reason; its numbers are not used again", async () => {
    await set("gone", "old");
    const job = await createJob(world, { secrets: { G: "gone" } });
    expect((await call(world, "DELETE", "/api/v1/secrets/gone")).status).toBe(200);
    expect(await handedOut(job.body.request_id)).toBeUndefined();
    const view = await call(world, "GET", `/api/v1/mags-jobs/${job.body.request_id}/status`);
    expect(view.body).toMatchObject({
      status: "error",
      reason: "start_failed",
      error: expect.stringContaining("deleted"),
    });
    expect((await set("gone", "new")).body.version).toBe(2);
  });

  it("that is deleted stays, for masking, as long as a job that was given it may print it", async () => {
    await set("held", "a deleted value");
    const { body } = await createJob(world, { persistent: true, secrets: { H: "held" } });
    const id: string = body.request_id;
    const assignment = await handedOut(id);
    await node.started(assignment!);
    expect((await call(world, "DELETE", "/api/v1/secrets/held")).status).toBe(200);
    expect((await createJob(world, { secrets: { X: "held@1" } })).status).toBe(400);
    expect((await call(world, "GET", "/api/v1/secrets")).body.secrets).not.toContainEqual(
      expect.objectContaining({ name: "held" }),
    );
    node.bootId = randomUUID();
    const registered = await node.register();
    const again = registered.body.held.find((job: { id: string }) => job.id === id);
    expect(again).toMatchObject({ secrets: { H: "a deleted value" }, masked: [] });
    // Of a machine that wakes only the log is kept from showing it.
    await node.report({ event: "slept", id, attempt: again.attempt, because: "test" });
    const waking = call(world, "POST", `/api/v1/mags-jobs/${id}/wake`);
    await expect
      .poll(() => handedOut(id), { timeout: 20_000 })
      .toMatchObject({ secrets: {}, masked: ["a deleted value"] });
    await call(world, "POST", `/api/v1/mags-jobs/${id}/stop`);
    await waking;
  });

  it("that is too old to be kept is removed when the last job that names it has ended", async () => {
    for (let version = 1; version <= 3; version++) await set("turns", `value ${version}`);
    const job = await createJob(world, { secrets: { T: "turns@1" } });
    for (let version = 4; version <= 13; version++) await set("turns", `value ${version}`);
    const kept = async () =>
      (await world.sql.query("SELECT version FROM secrets WHERE name = 'turns' ORDER BY version")).rows.map(
        ({ version }) => version,
      );
    expect(await kept()).toEqual([1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]);
    await call(world, "POST", `/api/v1/mags-jobs/${job.body.request_id}/stop`);
    expect((await set("turns", "value 14")).body.versions).toHaveLength(10);
    expect((await kept())[0]).toBe(5);
    await call(world, "DELETE", "/api/v1/secrets/turns");
    expect(await kept()).toEqual([]);
  });

  it("that does not exist is refused by name, and so is what is no name or no value", async () => {
    const job = await createJob(world, { secrets: { X: "nothing" } });
    expect(job).toMatchObject({ status: 400, body: { error: { field: "secrets.X" } } });
    for (const secrets of [{ "1X": "key" }, { X: "a/b" }, { X: "key@0" }])
      expect((await createJob(world, { secrets })).status, JSON.stringify(secrets)).toBe(400);
    expect((await set("key", "")).status).toBe(400);
    expect((await set("key", "a\0b")).status).toBe(400);
    expect((await set("key", "x".repeat(70_000))).status).toBe(400);
    expect((await set("a%2Fb", "x")).status).toBe(400);
  });

  it("belongs to one organisation, and is set by admins alone", async () => {
    const org = await call(world, "POST", "/api/v1/organisations", { id: "other" });
    const foreign = { authorization: `Bearer ${org.body.token.token}` };
    await set("mine", "x");
    expect((await createJob(world, { secrets: { X: "mine" } }, foreign)).status).toBe(400);
    const run = await call(world, "POST", "/api/v1/tokens", { name: "runner", scopes: ["run"] });
    expect((await set("mine", "y", { authorization: `Bearer ${run.body.token}` })).status).toBe(403);
  });

  it("is encrypted anew with a new key, after which the old one is not needed", async () => {
    await set("rotated", "still there");
    const fresh = randomBytes(32).toString("base64");
    secretKeys = [fresh, SECRET_KEY];
    await world.restartServer();
    const current = new SecretKeys([fresh]).currentId;
    const left = async () =>
      (await world.sql.query("SELECT count(*)::int AS n FROM secrets WHERE key_id <> $1", [current])).rows[0].n;
    await expect.poll(left, { timeout: 20_000 }).toBe(0);
    secretKeys = [fresh];
    await world.restartServer();
    await node.register();
    const job = await createJob(world, { secrets: { R: "rotated" } });
    expect((await handedOut(job.body.request_id))?.secrets).toEqual({ R: "still there" });
  });
});

describe("what is encrypted", () => {
  const keys = new SecretKeys([SECRET_KEY]);
  it("opens for the same place alone, unchanged, with its key", () => {
    const sealed = keys.seal("value", "org/name@1");
    expect(keys.open(sealed, "org/name@1")).toBe("value");
    expect(() => keys.open(sealed, "other/name@1")).toThrow();
    const changed = Buffer.from(sealed.bytes);
    changed[13] = (changed[13] as number) ^ 1;
    expect(() => keys.open({ ...sealed, bytes: changed }, "org/name@1")).toThrow();
    const other = new SecretKeys([randomBytes(32).toString("base64")]);
    expect(() => other.open(sealed, "org/name@1")).toThrow("not among the keys");
    expect(keys.seal("value", "x").bytes.equals(keys.seal("value", "x").bytes)).toBe(false);
  });

  it("needs a key of 32 bytes", () => {
    for (const wrong of [[], ["short"], [Buffer.alloc(31).toString("base64")]])
      expect(() => new SecretKeys(wrong)).toThrow();
  });
});
