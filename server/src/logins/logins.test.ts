import { createHash, randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { call, startWorld, type World } from "../testing.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

const pair = () => {
  const verifier = randomBytes(32).toString("base64url");
  return { verifier, challenge: createHash("sha256").update(verifier).digest("base64url") };
};
const approve = (body: object, headers = {}) => call(world, "POST", "/api/v1/logins", body, headers);
const exchange = (code: string, verifier: string) =>
  call(world, "POST", "/api/v1/logins/exchange", { code, verifier }, { authorization: "" });

it("gives a program a token once, with no more than was approved, and keeps no code", async () => {
  const { verifier, challenge } = pair();
  const { status, body } = await approve({ challenge, name: "laptop", scope: "read" });
  expect([status, body]).toEqual([201, { code: expect.stringMatching(/^login_[\w-]{43}$/), expires_in: 300 }]);
  const { rows } = await world.sql.query("SELECT l::text FROM logins l");
  expect(JSON.stringify(rows)).not.toContain(body.code);
  const made = await exchange(body.code, verifier);
  expect(made).toMatchObject({ status: 201, body: { scopes: ["read"], organisation: "default", created_by: "admin" } });
  expect(made.body.name).toMatch(/^laptop [0-9a-f]{4}$/);
  expect((await exchange(body.code, verifier)).status).toBe(401);
});

it("is used up by a program that does not know the secret, and by time", async () => {
  const { verifier, challenge } = pair();
  const first = await approve({ challenge, name: "laptop" });
  expect((await exchange(first.body.code, pair().verifier)).status).toBe(401);
  expect((await exchange(first.body.code, verifier)).status).toBe(401);
  const second = await approve({ challenge, name: "laptop" });
  await world.sql.query("UPDATE logins SET expires_at = now() - interval '1 second'");
  expect((await exchange(second.body.code, verifier)).status).toBe(401);
  await approve({ challenge, name: "laptop" });
  expect((await world.sql.query("SELECT count(*)::int FROM logins")).rows[0]).toEqual({ count: 1 });
});

it("is approved by a member who is signed in, whose token it then is", async () => {
  const person = { email: "ann@example.org", password: "correct horse battery" };
  const made = await call(world, "POST", "/api/v1/members", { ...person, role: "member" });
  const headers = { origin: world.server.url, "content-type": "application/json" };
  const browse = (path: string, body: object, cookie = "") =>
    fetch(world.server.url + path, { method: "POST", headers: { ...headers, cookie }, body: JSON.stringify(body) });
  const session = await browse("/api/v1/session", person);
  const cookie = session.headers.get("set-cookie")?.split(";")[0] ?? "";
  const { verifier, challenge } = pair();
  expect((await browse("/api/v1/logins", { challenge, name: "laptop", scope: "admin" }, cookie)).status).toBe(403);
  const approved = await browse("/api/v1/logins", { challenge, name: "laptop" }, cookie);
  const { code } = (await approved.json()) as { code: string };
  const token = await exchange(code, verifier);
  expect(token).toMatchObject({ status: 201, body: { scopes: ["run"] } });
  const authorization = `Bearer ${token.body.token}`;
  const whoami = () => call(world, "GET", "/api/v1/whoami", undefined, { authorization });
  expect((await whoami()).body).toMatchObject({ member: { email: person.email } });
  const again = await call(world, "POST", "/api/v1/logins", { challenge, name: "x" }, { authorization });
  expect(again.status).toBe(403);
  await call(world, "DELETE", `/api/v1/members/${made.body.id}`);
  expect((await whoami()).status).toBe(401);
});

it("is approved by a token only where it may make tokens, and gives no more than they have", async () => {
  const { challenge } = pair();
  for (const scope of ["read", "run"]) {
    const token = await call(world, "POST", "/api/v1/tokens", { name: `may-${scope}`, scopes: [scope] });
    const headers = { authorization: `Bearer ${token.body.token}` };
    expect(await approve({ challenge, name: "x", scope: "read" }, headers)).toMatchObject({ status: 403 });
  }
  for (const [body, field] of [
    [{ challenge: "short", name: "x" }, "challenge"],
    [{ challenge, name: "" }, "name"],
    [{ challenge, name: "x", scope: "operator" }, "scope"],
  ] as const) {
    expect(await approve(body)).toMatchObject({ status: 400, body: { error: { field } } });
  }
});
