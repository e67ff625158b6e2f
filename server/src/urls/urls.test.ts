import { createHash, randomUUID, scryptSync } from "node:crypto";
import { PASSWORD_HASH_BYTES } from "@mags/protocol";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { call, createJob, startWorld, TestNode, type World } from "../testing.ts";
import { hashToken } from "../tokens/service.ts";
import { newSubdomain, readHost } from "./decide.ts";

let world: World;
let node: TestNode;
const foreign = { authorization: "Bearer token-of-another-organisation" };
const NODE = { authorization: "Bearer node-token-of-the-tests" };

beforeAll(async () => {
  world = await startWorld();
  await world.sql.query("INSERT INTO organisations (id) VALUES ('other')");
  await world.sql.query("INSERT INTO tokens (org, name, hash) VALUES ('other', 'admin', $1)", [
    hashToken("token-of-another-organisation"),
  ]);
  node = new TestNode(world, "a");
  node.address = "https://10.0.0.7:9";
  await node.register();
});
afterAll(() => world[Symbol.asyncDispose]());
afterEach(() => world.sql.query("TRUNCATE jobs, doors, url_aliases, ssh_keys CASCADE"));

const access = (id: string, body: unknown, headers = {}) =>
  call(world, "POST", `/api/v1/mags-jobs/${encodeURIComponent(id)}/access`, body, headers);
const resolve = (body: object) => call(world, "POST", "/gateway/v1/resolve", body, NODE);
const byHost = async (host: string, more = {}) => (await resolve({ by: "host", host, ...more })).body;
const ask = async (domain: string) => (await call(world, "GET", `/gateway/v1/ask?domain=${domain}`)).status;

async function running(job: object = {}, headers = {}): Promise<string> {
  const { body } = await createJob(world, { persistent: true, ...job }, headers);
  const claimed = (await node.claim()).find(({ id }) => id === body.request_id);
  await node.started(claimed!);
  return body.request_id;
}

describe("a job's URL", () => {
  it("is stable, unguessable, shown in its status, and leads to the port that was opened first", async () => {
    const id = await running({ name: "My App!" });
    const status = async () => (await call(world, "GET", `/api/v1/mags-jobs/${id}/status`)).body;
    expect(await status()).toMatchObject({ subdomain: null, url: null });
    const first = (await access(id, { port: 3000 })).body;
    expect(first.subdomain).toMatch(/^my-app-[a-z2-7]{12}$/);
    expect(first).toEqual({
      success: true,
      port: 3000,
      subdomain: first.subdomain,
      url: `http://${first.subdomain}.apps.localhost:7071`,
      access: "public",
    });
    expect((await access("My App!", { port: 3000 })).body).toEqual(first);
    const second = (await access(id, { port: 8080 })).body;
    expect(second.url).toBe(`http://${first.subdomain}--8080.apps.localhost:7071`);
    expect(await status()).toMatchObject({ subdomain: first.subdomain, url: first.url });
    const door = { state: "ready", job: id, node: "a", address: "https://10.0.0.7:9", guard: { access: "public" } };
    expect(await byHost(`${first.subdomain}.apps.localhost`)).toEqual({ ...door, port: 3000 });
    expect(await byHost(`${second.subdomain}.apps.localhost`)).toEqual({ ...door, port: 8080 });
    expect(await byHost(`${first.subdomain}--22.apps.localhost`)).toMatchObject({ state: "none" });
    expect(await byHost(`${first.subdomain}--3001.apps.localhost`)).toMatchObject({ state: "none" });
  });

  it("port 8080 is meant where none is given, as the hosted service's clients expect", async () => {
    const id = await running();
    expect((await access(id, {})).body).toMatchObject({ success: true, port: 8080 });
  });

  it.each([
    [{ port: 0 }, "port must be at least 1"],
    [{ port: 70_000 }, "port must be at most 65535"],
    [{ port: "80" }, "port must be a number"],
    [{ port: 80.5 }, "port"],
    [{ access: "secret" }, 'access must be one of "public", "token", "password"'],
    [{ password: "long enough" }, 'access must be "password"'],
    [{ access: "password", password: "short" }, "password must be at least 8 characters"],
    [{ access: "password", username: "a:b" }, "username must hold no colon"],
    [{ port: 22, expires_in: 1 }, "expires_in must be at least 60"],
  ])("%j is refused, and nothing is opened", async (body, message) => {
    const id = await running();
    const answer = await access(id, body);
    expect([answer.status, answer.body.error.code]).toEqual([400, "invalid_request"]);
    expect(answer.body.message).toContain(message);
    expect((await world.sql.query("SELECT FROM doors")).rowCount).toBe(0);
  });

  it("a job that is unknown, foreign or has ended has none", async () => {
    const id = await running({ name: "app" });
    expect((await access(randomUUID(), { port: 80 })).status).toBe(404);
    for (const name of [id, "app"]) expect((await access(name, { port: 80 }, foreign)).status).toBe(404);
    const { subdomain } = (await access(id, { port: 80 })).body;
    await world.sql.query("UPDATE jobs SET status = 'stopped', completed_at = now() WHERE id = $1", [id]);
    const ended = await access(id, { port: 80 });
    expect([ended.status, ended.body.error.code]).toEqual([409, "conflict"]);
    expect(ended.body.message).toContain("has ended (stopped)");
    expect(await byHost(`${subdomain}.apps.localhost`)).toEqual({
      state: "none",
      reason: "the sandbox behind this address has ended",
    });
  });

  it("the number of ports is bounded", async () => {
    const id = await running();
    await world.sql.query(
      "INSERT INTO doors (org, job, port, main, guard) SELECT 'default', $1, 1000 + n, false, '{\"access\":\"public\"}' FROM generate_series(1, 100) n",
      [id],
    );
    const answer = await access(id, { port: 80 });
    expect([answer.status, answer.body.error.field]).toEqual([409, "port"]);
  });

  it("holds its gateway's question until the sandbox is up", async () => {
    const { body: job } = await createJob(world, { persistent: true });
    const { subdomain } = (await access(job.request_id, { port: 80 })).body;
    const host = `${subdomain}.apps.localhost`;
    expect(await byHost(host)).toMatchObject({ state: "waking", reason: "the sandbox waits for a free machine" });
    const held = byHost(host, { wait_ms: 20_000 });
    const [claimed] = await node.claim();
    await node.started(claimed!);
    expect(await held).toMatchObject({ state: "ready", job: job.request_id });
  });

  it("may ask for a token or a password; only hashes are kept, and a new one replaces the old", async () => {
    const id = await running();
    const first = (await access(id, { port: 80, access: "token" })).body;
    expect(first.token).toMatch(/^[\w-]{24}$/);
    const host = `${first.subdomain}.apps.localhost`;
    const hash = createHash("sha256").update(first.token).digest("hex");
    expect(await byHost(host)).toMatchObject({ guard: { access: "token", hash } });
    const again = (await access(id, { port: 80 })).body;
    expect(again).toMatchObject({ access: "token" });
    expect(again.token).toBeUndefined();
    expect((await access(id, { port: 80, access: "token" })).body.token).not.toBe(first.token);

    const chosen = { port: 80, access: "password", username: "me", password: "correct horse" };
    expect((await access(id, chosen)).body).toMatchObject({ access: "password", username: "me" });
    const { guard } = await byHost(host);
    expect(guard.hash).toBe(scryptSync("correct horse", guard.salt, PASSWORD_HASH_BYTES).toString("hex"));
    expect((await access(id, { port: 80, access: "password" })).body).toMatchObject({
      username: "mags",
      password: expect.stringMatching(/^[\w-]{24}$/),
    });
    expect(JSON.stringify((await world.sql.query("SELECT guard FROM doors")).rows)).not.toContain("correct horse");
    expect((await access(id, { port: 80, access: "public" })).body.access).toBe("public");
    expect(await byHost(host)).toMatchObject({ guard: { access: "public" } });
  });
});

describe("aliases", () => {
  const alias = (body: unknown, headers = {}) => call(world, "POST", "/api/v1/mags-url-aliases", body, headers);
  const list = async (headers = {}) => (await call(world, "GET", "/api/v1/mags-url-aliases", undefined, headers)).body;
  const onWorkspace = (id: string, workspace: string) =>
    world.sql.query("UPDATE jobs SET workspace_name = $2 WHERE id = $1", [id, workspace]);

  it("follow a workspace from job to job", async () => {
    const made = await alias({ subdomain: "shop", workspace_id: "ws", domain: "apps.magpiecloud.com" });
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      subdomain: "shop",
      url: "http://shop.apps.localhost:7071",
      workspace_id: "ws",
      port: null,
      access: "public",
    });
    const host = "shop.apps.localhost";
    expect(await byHost(host)).toEqual({
      state: "none",
      reason: "no sandbox has the workspace behind this address at the moment",
    });
    const one = await running();
    await onWorkspace(one, "ws");
    expect(await byHost(host)).toMatchObject({ state: "ready", job: one, port: 8080 });
    await access(one, { port: 3000 });
    expect(await byHost(host)).toMatchObject({ job: one, port: 3000 });
    await world.sql.query("UPDATE jobs SET status = 'stopped' WHERE id = $1", [one]);
    const two = await running();
    await onWorkspace(two, "ws");
    expect(await byHost(host)).toMatchObject({ job: two, port: 8080 });
    expect((await alias({ subdomain: "shop", workspace_id: "ws", port: 9000 })).body.id).toBe(made.body.id);
    expect(await byHost(host)).toMatchObject({ job: two, port: 9000 });
    expect(await byHost("shop--3000.apps.localhost")).toMatchObject({ state: "none" });
  });

  it("lead to the workspace of their own organisation, and are seen and deleted by it alone", async () => {
    await alias({ subdomain: "shop", workspace_id: "ws" });
    const theirs = await running({}, foreign);
    await onWorkspace(theirs, "ws");
    expect(await byHost("shop.apps.localhost")).toMatchObject({ state: "none" });
    expect(await list(foreign)).toEqual({ aliases: [], total: 0 });
    expect((await list()).aliases).toMatchObject([{ subdomain: "shop" }]);
    const remove = (headers = {}) => call(world, "DELETE", "/api/v1/mags-url-aliases/shop", undefined, headers);
    expect((await remove(foreign)).status).toBe(404);
    const taken = await alias({ subdomain: "shop", workspace_id: "ws" }, foreign);
    expect([taken.status, taken.body.error.field]).toEqual([409, "subdomain"]);
    expect(taken.body.message).toContain("already exists");
    expect((await alias({ subdomain: "shop", workspace_id: "other" })).status).toBe(409);
    expect((await remove()).status).toBe(204);
    expect((await remove()).status).toBe(404);
  });

  it("cannot take the host name of a job", async () => {
    const { subdomain } = (await access(await running(), { port: 80 })).body;
    expect((await alias({ subdomain, workspace_id: "ws" }, foreign)).status).toBe(409);
  });

  it.each(["", "-a", "a-", "a--b", "A", "a.b", "a_b", "ä", "a b", "x".repeat(64), "a\n"])(
    "%j is no subdomain",
    async (subdomain) => {
      const answer = await alias({ subdomain, workspace_id: "ws" });
      expect([answer.status, answer.body.error.field]).toEqual([400, "subdomain"]);
    },
  );
});

it("a TLS proxy may ask which host names exist, and only those do", async () => {
  const { subdomain } = (await access(await running(), { port: 80 })).body;
  await call(world, "POST", "/api/v1/mags-url-aliases", { subdomain: "shop", workspace_id: "ws" });
  expect(await ask(`${subdomain}.apps.localhost`)).toBe(200);
  expect(await ask("shop.apps.localhost")).toBe(200);
  for (const name of [
    "apps.localhost",
    "x.apps.localhost",
    `a.${subdomain}.apps.localhost`,
    subdomain,
    "shop.evil.example",
  ])
    expect(await ask(name)).toBe(404);
});

it("only gateways may ask where a sandbox is", async () => {
  for (const token of ["admin-token-of-the-tests", "x"]) {
    const headers = { authorization: `Bearer ${token}` };
    expect((await call(world, "POST", "/gateway/v1/resolve", { by: "host", host: "x" }, headers)).status).toBe(401);
  }
});

it("subdomains are host names, whatever a job is called", () => {
  const random = new Uint8Array(16).map((_, i) => i * 31);
  for (const name of ["", "---", "Ünïcode / ..", "x".repeat(128), "a--b", "0"]) {
    const subdomain = newSubdomain(name, random);
    expect(subdomain).toMatch(/^(?!.*--)[a-z0-9]([a-z0-9-]{0,54})[a-z0-9]$/);
    expect(readHost(`${subdomain}--65535.Apps.Localhost.`, "apps.localhost")).toEqual({ subdomain, port: 65535 });
  }
  for (const host of [
    "apps.localhost",
    "a.b.apps.localhost",
    "-a.apps.localhost",
    "a--0.apps.localhost.evil",
    "aapps.localhost",
  ])
    expect(readHost(host, "apps.localhost")).toBeUndefined();
});
