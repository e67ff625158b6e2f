import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { run } from "@mags/kit";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { call, createJob, startWorld, TestNode, type World } from "../testing.ts";
import { hashToken } from "../tokens/service.ts";

let world: World;
let node: TestNode;
let dir: string;
const foreign = { authorization: "Bearer token-of-another-organisation" };
const NODE = { authorization: "Bearer node-token-of-the-tests" };

beforeAll(async () => {
  dir = await mkdtemp("/tmp/mags-ssh-");
  world = await startWorld();
  await world.sql.query("INSERT INTO organisations (id) VALUES ('other')");
  await world.sql.query("INSERT INTO tokens (org, name, hash) VALUES ('other', 'admin', $1)", [
    hashToken("token-of-another-organisation"),
  ]);
  node = new TestNode(world, "a");
  await node.register();
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  await rm(dir, { recursive: true });
});
afterEach(() => world.sql.query("TRUNCATE jobs, doors, ssh_keys CASCADE"));

const access = (id: string, body: object = {}, headers = {}) =>
  call(world, "POST", `/api/v1/mags-jobs/${id}/access`, { port: 22, ...body }, headers);
const login = async (fingerprint: string, user = "root") =>
  (await call(world, "POST", "/gateway/v1/resolve", { by: "ssh_key", user, fingerprint }, NODE)).body;
const add = (public_key: string, more = {}, headers = {}) =>
  call(world, "POST", "/api/v1/mags-ssh-keys", { public_key, ...more }, headers);

async function running(name = "app", headers = {}): Promise<string> {
  const { body } = await createJob(world, { persistent: true, name }, headers);
  const claimed = (await node.claim()).find(({ id }) => id === body.request_id);
  await node.started(claimed!);
  return body.request_id;
}

let made = 0;
/** A key pair that OpenSSH made; answers the public line and its fingerprint. */
async function keygen(...options: string[]): Promise<{ line: string; fingerprint: string }> {
  const path = join(dir, `key-${++made}`);
  await run("ssh-keygen", ["-q", "-N", "", "-C", "me@home", "-f", path, ...options]);
  const [, fingerprint = ""] = (await run("ssh-keygen", ["-l", "-f", path])).split(" ");
  return { line: await readFile(`${path}.pub`, "utf8"), fingerprint };
}

describe("a key made for a job", () => {
  it("is one that OpenSSH reads, opens that job under any name, and only its public half is kept", async () => {
    const id = await running();
    const { status, body } = await access(id);
    expect(status).toBe(200);
    expect(body).toMatchObject({ success: true, ssh_host: "127.0.0.1", ssh_port: 7072, ssh_user: "root" });
    const path = join(dir, "job-key");
    await writeFile(path, body.ssh_private_key, { mode: 0o600 });
    const line = await run("ssh-keygen", ["-y", "-f", path]);
    const [, fingerprint = ""] = (await run("ssh-keygen", ["-l", "-f", path])).split(" ");
    const { rows } = await world.sql.query("SELECT * FROM ssh_keys");
    expect(rows).toMatchObject([
      { job: id, org: "default", fingerprint, public_key: line.split(" ").slice(0, 2).join(" ") },
    ]);
    expect(JSON.stringify(rows)).not.toContain("PRIVATE");
    expect(await login(fingerprint)).toMatchObject({ state: "ready", job: id, port: null });
    expect(await login(fingerprint, "whoever")).toMatchObject({ state: "ready", job: id });
  });

  it("expires, and goes with its job", async () => {
    const id = await running();
    const { body } = await access(id, { expires_in: 60 });
    expect(Date.parse(body.expires_at) - Date.now()).toBeLessThan(61_000);
    const { rows } = await world.sql.query(
      "UPDATE ssh_keys SET expires_at = now() - interval '1 second' RETURNING fingerprint",
    );
    expect(await login(rows[0].fingerprint)).toEqual({ state: "none", reason: "the key is not known, or has expired" });
    await access(id);
    expect((await world.sql.query("SELECT FROM ssh_keys")).rowCount).toBe(1);
    await world.sql.query("UPDATE jobs SET status = 'stopped' WHERE id = $1", [id]);
    expect((await access(id)).status).toBe(409);
    const left = await world.sql.query("SELECT fingerprint FROM ssh_keys");
    expect(await login(left.rows[0].fingerprint)).toMatchObject({ state: "none" });
  });

  it("is not made for a job of another organisation", async () => {
    expect((await access(await running(), {}, foreign)).status).toBe(404);
    expect((await world.sql.query("SELECT FROM ssh_keys")).rowCount).toBe(0);
  });

  it("is one of a bounded number: the oldest goes", async () => {
    const id = await running();
    await world.sql.query(
      "INSERT INTO ssh_keys (id, org, job, name, fingerprint, public_key, expires_at, created_at) SELECT gen_random_uuid(), 'default', $1, 'x', 'f' || n, 'k', now() + interval '1 hour', now() - n * interval '1 minute' FROM generate_series(1, 100) n",
      [id],
    );
    await access(id);
    const { rows } = await world.sql.query("SELECT fingerprint FROM ssh_keys");
    expect(rows).toHaveLength(100);
    expect(rows.map((row) => row.fingerprint)).not.toContain("f100");
  });
});

describe("a user's own key", () => {
  it.each([
    ["-t", "ed25519"],
    ["-t", "ecdsa"],
    ["-t", "rsa", "-b", "2048"],
  ])("of type %s %s opens every live job of its organisation, by id or name", async (...options) => {
    const { line, fingerprint } = await keygen(...options);
    const added = await add(line);
    expect(added.status).toBe(201);
    expect(added.body).toMatchObject({ name: "me@home", fingerprint });
    const id = await running("app");
    const theirs = await running("theirs", foreign);
    expect(await login(fingerprint, "app")).toMatchObject({ state: "ready", job: id });
    expect(await login(fingerprint, id)).toMatchObject({ state: "ready", job: id });
    for (const user of ["root", "theirs", theirs, "", "app\0"])
      expect(await login(fingerprint, user)).toMatchObject({ state: "none" });
  });

  it("is listed and deleted by its organisation alone, and belongs to one", async () => {
    const { line, fingerprint } = await keygen("-t", "ed25519");
    const { body: key } = await add(line, { name: "laptop" });
    expect((await add(line, { name: "renamed" })).body).toMatchObject({ id: key.id, name: "renamed" });
    const taken = await add(line, {}, foreign);
    expect([taken.status, taken.body.error.field]).toEqual([409, "public_key"]);
    const list = async (headers = {}) => (await call(world, "GET", "/api/v1/mags-ssh-keys", undefined, headers)).body;
    expect(await list(foreign)).toEqual({ keys: [], total: 0 });
    expect((await list()).keys).toMatchObject([{ id: key.id, fingerprint }]);
    const remove = (headers = {}) => call(world, "DELETE", `/api/v1/mags-ssh-keys/${key.id}`, undefined, headers);
    expect((await remove(foreign)).status).toBe(404);
    expect((await remove()).status).toBe(204);
    expect((await remove()).status).toBe(404);
    expect(await login(fingerprint, "app")).toMatchObject({ state: "none" });
    expect((await call(world, "DELETE", "/api/v1/mags-ssh-keys/no-uuid")).status).toBe(404);
  });

  it("that is none, or too weak, is refused with what is wrong", async () => {
    const weak = await keygen("-t", "rsa", "-b", "1024");
    const { line } = await keygen("-t", "ed25519");
    const cases: [string, string][] = [
      [weak.line, "at least 2048 bits"],
      ["hello", "must begin with one of"],
      ["ssh-ed25519 AAAA", "cannot be read"],
      ["ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAA", "cannot be read"],
      [`command="x" ${line}`, "must begin with one of"],
      [`${line}\n${line}`, "must be one line"],
      ["-----BEGIN OPENSSH PRIVATE KEY-----\nx", "is a private key"],
      [line.replace("ssh-ed25519", "ssh-dss"), "must begin with one of"],
      [line.replace("ssh-ed25519", "ssh-rsa"), "cannot be read"],
    ];
    for (const [key, message] of cases) {
      const answer = await add(key);
      expect([key, answer.status, answer.body.error?.field]).toEqual([key, 400, "public_key"]);
      expect(answer.body.message).toContain(message);
    }
  });
});
