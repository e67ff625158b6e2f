import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { attemptLimits } from "../sessions/attempts.ts";
import { type Answer, call, createJob, startWorld, type World } from "../testing.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

const PASSWORD = "correct horse battery";
let number = 0;
const email = (name: string) => `${name}-${number++}@example.org`;
const add = (body: object, headers = {}) => call(world, "POST", "/api/v1/members", body, headers);
const change = (id: string, body: object, headers = {}) => call(world, "PATCH", `/api/v1/members/${id}`, body, headers);
const whoami = (headers: Record<string, string>) => call(world, "GET", "/api/v1/whoami", undefined, headers);
/** As a browser sends it: no Authorization header at all. */
async function browse(method: string, path: string, body?: object, more: Record<string, string> = {}): Promise<Answer> {
  const response = await fetch(world.server.url + path, {
    method,
    headers: { origin: world.server.url, ...(body ? { "content-type": "application/json" } : {}), ...more },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: text.startsWith("{") ? JSON.parse(text) : text };
}
const signIn = (body: object) => browse("POST", "/api/v1/session", body);
const cookieOf = (answer: Answer) => ({ cookie: (answer.headers.get("set-cookie") ?? "").split(";")[0] ?? "" });

async function member(role: string) {
  const address = email(role);
  const made = await add({ email: address, role, password: PASSWORD });
  expect(made.status).toBe(201);
  const session = await signIn({ email: address, password: PASSWORD });
  expect(session.status).toBe(200);
  return { id: made.body.id as string, email: address, cookie: cookieOf(session) };
}

describe("a member", () => {
  it("signs in by e-mail and password, and may what the role may", async () => {
    const codes: Record<string, unknown[]> = {};
    for (const role of ["owner", "admin", "member", "viewer"]) {
      const { cookie, email } = await member(role);
      expect((await browse("GET", "/api/v1/whoami", undefined, cookie)).body).toMatchObject({
        organisation: "default",
        member: { email, role },
      });
      const answers = [
        await browse("GET", "/api/v1/mags-jobs", undefined, cookie),
        await browse("POST", "/api/v1/mags-jobs", { script: "true" }, cookie),
        await browse("POST", "/api/v1/tokens", { name: `of-${role}` }, cookie),
        await browse("GET", "/api/v1/organisations", undefined, cookie),
      ];
      codes[role] = answers.map(({ status }) => status);
    }
    expect(codes).toEqual({
      owner: [200, 202, 201, 403],
      admin: [200, 202, 201, 403],
      member: [200, 202, 403, 403],
      viewer: [200, 403, 403, 403],
    });
  });

  it("has a password that is kept as argon2id, in no answer and in no row", async () => {
    const made = await add({ email: email("hash"), password: PASSWORD });
    const { rows } = await world.sql.query("SELECT m::text AS row, password FROM members m WHERE id = $1", [
      made.body.id,
    ]);
    expect(rows[0].password).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
    expect(rows[0].row).not.toContain(PASSWORD);
    expect(JSON.stringify((await call(world, "GET", "/api/v1/members")).body)).not.toContain("argon2");
  });

  it("that is disabled is out at once, with sessions and tokens, and comes back as before", async () => {
    const { id, cookie } = await member("admin");
    const token = await browse("POST", "/api/v1/tokens", { name: "of-disabled", scopes: ["run"] }, cookie);
    const bearer = { authorization: `Bearer ${token.body.token}` };
    expect((await whoami(bearer)).status).toBe(200);
    expect((await change(id, { disabled: true })).body.state).toBe("disabled");
    expect((await whoami(bearer)).status).toBe(401);
    expect((await browse("GET", "/api/v1/whoami", undefined, cookie)).status).toBe(401);
    await change(id, { disabled: false });
    expect((await whoami(bearer)).status).toBe(200);
  });

  it("whose role becomes less has tokens that may do less", async () => {
    const { id, cookie } = await member("admin");
    const token = await browse("POST", "/api/v1/tokens", { name: "of-demoted", scopes: ["admin"] }, cookie);
    const bearer = { authorization: `Bearer ${token.body.token}` };
    await change(id, { role: "viewer" });
    expect((await whoami(bearer)).body).toMatchObject({ scopes: ["read"], member: { role: "viewer" } });
    expect((await createJob(world, {}, bearer)).status).toBe(403);
  });

  it("that is deleted takes its tokens and sign-ins along", async () => {
    const { id, cookie } = await member("admin");
    const token = await browse("POST", "/api/v1/tokens", { name: "of-deleted" }, cookie);
    expect((await call(world, "DELETE", `/api/v1/members/${id}`)).body).toEqual({ id, deleted: true });
    expect((await whoami({ authorization: `Bearer ${token.body.token}` })).status).toBe(401);
    expect((await browse("GET", "/api/v1/whoami", undefined, cookie)).status).toBe(401);
  });

  it("changes the password with the old one, which signs the other browsers out", async () => {
    const { email, cookie } = await member("member");
    const other = cookieOf(await signIn({ email, password: PASSWORD }));
    const put = (body: object) => browse("PUT", "/api/v1/session/password", body, cookie);
    expect((await put({ current: "wrong", password: "another long one" })).body.error.field).toBe("current");
    expect((await put({ current: PASSWORD, password: "short" })).body.error.field).toBe("password");
    expect((await put({ current: PASSWORD, password: "another long one" })).status).toBe(204);
    expect((await browse("GET", "/api/v1/whoami", undefined, cookie)).status).toBe(200);
    expect((await browse("GET", "/api/v1/whoami", undefined, other)).status).toBe(401);
    expect((await signIn({ email, password: PASSWORD })).status).toBe(401);
  });

  it("in two organisations says which one", async () => {
    const address = email("both");
    const org = await call(world, "POST", "/api/v1/organisations", { id: "second" });
    const foreign = { authorization: `Bearer ${org.body.token.token}` };
    await add({ email: address, password: PASSWORD });
    await add({ email: address.toUpperCase(), password: PASSWORD, role: "owner" }, foreign);
    expect((await signIn({ email: address, password: PASSWORD })).body.error.field).toBe("organisation");
    const answer = await signIn({ email: address, password: PASSWORD, organisation: "second" });
    expect(answer.body).toEqual({ name: address, organisation: "second", role: "owner" });
  });
});

describe("an invitation", () => {
  const accept = (invite: string, password = PASSWORD) =>
    browse("POST", "/api/v1/session/invite", { invite, password, name: "Ann" });

  it("is a link that works once; whoever opens it chooses the password", async () => {
    const made = await add({ email: email("invited"), role: "viewer" });
    expect(made.body).toMatchObject({ state: "invited", has_password: false });
    const { token, url } = made.body.invite;
    expect(url).toBe(`http://127.0.0.1:0/invite#${token}`);
    expect((await signIn({ email: made.body.email, password: "" })).status).toBe(401);
    const accepted = await accept(token);
    expect(accepted.body).toMatchObject({ name: made.body.email, role: "viewer" });
    expect((await browse("GET", "/api/v1/whoami", undefined, cookieOf(accepted))).body.member.name).toBe("Ann");
    expect((await accept(token)).status).toBe(401);
    expect((await signIn({ email: made.body.email, password: PASSWORD })).status).toBe(200);
  });

  it("made anew ends the one before, and ends sign-ins when it is accepted", async () => {
    const { id, cookie } = await member("member");
    const [first, second] = [
      await call(world, "POST", `/api/v1/members/${id}/invite`),
      await call(world, "POST", `/api/v1/members/${id}/invite`),
    ];
    expect((await accept(first.body.invite.token)).status).toBe(401);
    expect((await accept(second.body.invite.token, "a quite new password")).status).toBe(200);
    expect((await browse("GET", "/api/v1/whoami", undefined, cookie)).status).toBe(401);
  });

  it("that is a week old is refused", async () => {
    const made = await add({ email: email("late") });
    await world.sql.query("UPDATE members SET invite_expires_at = now() - interval '1 second' WHERE id = $1", [
      made.body.id,
    ]);
    expect((await accept(made.body.invite.token)).status).toBe(401);
  });
});

describe("who guesses", () => {
  it("waits after ten wrong passwords, however many come at once, and so does a right one from there", async () => {
    const { email } = await member("member");
    const tries = await Promise.all(
      Array.from({ length: attemptLimits.ofAddressAtAccount + 15 }, () => signIn({ email, password: "wrong" })),
    );
    const count = (status: number) => tries.filter((answer) => answer.status === status).length;
    expect(count(401)).toBe(attemptLimits.ofAddressAtAccount);
    expect(count(429)).toBe(15);
    const blocked = await signIn({ email, password: PASSWORD });
    expect(blocked.body.error.code).toBe("rate_limited");
    expect(Number(blocked.headers.get("retry-after"))).toBeGreaterThan(60);
    await world.restartServer();
    expect((await signIn({ email, password: PASSWORD })).status).toBe(429);
    await world.sql.query("UPDATE sign_in_failures SET until = now() - interval '1 second'");
    expect((await signIn({ email, password: PASSWORD })).status).toBe(200);
  });

  it("learns nothing of who is a member", async () => {
    await world.sql.query("DELETE FROM sign_in_failures");
    const { email } = await member("member");
    const [known, unknown] = [
      await signIn({ email, password: "wrong" }),
      await signIn({ email: "x@x.org", password: "wrong" }),
    ];
    expect(known.body.message).toBe(unknown.body.message);
    expect(known.status).toBe(unknown.status);
  });
});

describe("a request with a cookie", () => {
  it("of another site's page changes nothing (CSRF)", async () => {
    const { cookie } = await member("owner");
    for (const origin of ["https://evil.example", "null", `${world.server.url}.evil.example`]) {
      const answer = await browse("POST", "/api/v1/mags-jobs", { script: "true" }, { ...cookie, origin });
      expect(answer.status, origin).toBe(401);
      const put = { current: PASSWORD, password: "stolen password" };
      expect((await browse("PUT", "/api/v1/session/password", put, { ...cookie, origin })).status).toBe(401);
    }
    expect((await browse("POST", "/api/v1/mags-jobs", { script: "true" }, cookie)).status).toBe(202);
  });

  it("has one that scripts do not see and other sites do not send, by HTTPS alone where the server is reached so", async () => {
    const address = email("cookie");
    await add({ email: address, password: PASSWORD });
    const plain = (await signIn({ email: address, password: PASSWORD })).headers.get("set-cookie");
    expect(plain).toMatch(/HttpOnly; SameSite=Strict$/);
    await using safe = await startWorld({ access: { publicUrl: "https://mags.example.com" } });
    const answer = await call(safe, "POST", "/api/v1/session", { token: "admin-token-of-the-tests" });
    expect(answer.headers.get("set-cookie")).toMatch(/HttpOnly; Secure; SameSite=Strict$/);
  });
});
