import { once } from "node:events";
import { request } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Answer, call, createJob, startWorld, type World } from "../testing.ts";
import { take } from "./bucket.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

const url = "/api/v1/tokens";
let number = 0;
const make = (more: object = {}, headers = {}): Promise<Answer> =>
  call(world, "POST", url, { name: `token-${number++}`, ...more }, headers);
const as = (made: Answer) => ({ authorization: `Bearer ${made.body.token}` });
const whoami = (headers: Record<string, string>) => call(world, "GET", "/api/v1/whoami", undefined, headers);

describe("a token", () => {
  it("is shown once, and kept as a hash", async () => {
    const made = await make({ name: "ci", scopes: ["run"] });
    expect(made).toMatchObject({ status: 201, body: { name: "ci", scopes: ["run"], created_by: "admin" } });
    expect(made.body.token).toMatch(/^mags_[\w-]{32}$/);
    const listed = await call(world, "GET", url);
    expect(listed.body.tokens.map((token: { name: string }) => token.name)).toContain("ci");
    expect(JSON.stringify(listed.body)).not.toContain(made.body.token);
    const { rows } = await world.sql.query("SELECT t::text FROM tokens t");
    expect(JSON.stringify(rows)).not.toContain(made.body.token);
    expect((await whoami(as(made))).body).toEqual({
      organisation: "default",
      token: "ci",
      scopes: ["run"],
      member: null,
    });
  });

  it("may do what its scopes say, and no more", async () => {
    const [read, run, admin] = await Promise.all(["read", "run", "admin"].map((scope) => make({ scopes: [scope] })));
    const tries = async (made: Answer | undefined) => {
      const headers = as(made as Answer);
      const answers = [
        await call(world, "GET", "/api/v1/mags-jobs", undefined, headers),
        await createJob(world, {}, headers),
        await call(world, "GET", url, undefined, headers),
        await call(world, "POST", "/api/v1/mags-workspaces/collect", undefined, headers),
        await call(world, "GET", "/api/v1/organisations", undefined, headers),
      ];
      return answers.map(({ status, body }) => body.error?.code ?? status);
    };
    expect(await tries(read)).toEqual([200, "forbidden", "forbidden", "forbidden", "forbidden"]);
    expect(await tries(run)).toEqual([200, 202, "forbidden", "forbidden", "forbidden"]);
    expect(await tries(admin)).toEqual([200, 202, 200, 200, "forbidden"]);
    expect((await make({ scopes: ["operator"] }, as(admin as Answer))).body.error.code).toBe("forbidden");
  });

  it("that may only read does not come into a machine", async () => {
    const made = await make({ scopes: ["read"] });
    const upgrade = {
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": "A",
    };
    const opening = request(`${world.server.url}/api/v1/mags-jobs/x/terminal`, {
      headers: { ...as(made), ...upgrade },
    });
    const [response] = await once(opening.end(), "response");
    expect(response.statusCode).toBe(403);
    response.destroy();
  });

  it("that is revoked is refused at once, by every server", async () => {
    const made = await make();
    const other = await world.startServer();
    try {
      const ask = async (server: string) => (await fetch(`${server}/api/v1/whoami`, { headers: as(made) })).status;
      expect([await ask(world.server.url), await ask(other.url)]).toEqual([200, 200]);
      expect((await call(world, "DELETE", `${url}/${made.body.id}`)).body).toMatchObject({ revoked: true });
      expect(await ask(world.server.url)).toBe(401);
      // Well within the 5 s that the other server would remember it for.
      const deadline = Date.now() + 3000;
      while ((await ask(other.url)) !== 401 && Date.now() < deadline) await delay(20);
      expect(Date.now()).toBeLessThan(deadline);
      expect((await call(world, "DELETE", `${url}/${made.body.id}`)).status).toBe(404);
    } finally {
      await other.close();
    }
  });

  it("that has expired is refused", async () => {
    const made = await make({ expires_in_days: 1 });
    expect((await whoami(as(made))).status).toBe(200);
    await world.sql.query("UPDATE tokens SET expires_at = now() - interval '1 s' WHERE id = $1", [made.body.id]);
    await world.restartServer();
    expect((await whoami(as(made))).status).toBe(401);
  });

  it.each([
    [{ name: "" }, 400, "name"],
    [{ name: "a\u001b[2J" }, 400, "name"],
    [{ scopes: ["everything"] }, 400, "scopes.0"],
    [{ scopes: [] }, 400, "scopes"],
    [{ expires_in_days: -1 }, 400, "expires_in_days"],
    [{ name: "admin" }, 409, "name"],
  ])("with %o is refused", async (wrong, status, field) => {
    const answer = await make(wrong);
    expect([answer.status, answer.body.error.field]).toEqual([status, field]);
  });

  it("tells when it was last used", async () => {
    const made = await make();
    await whoami(as(made));
    const used = async () =>
      (await call(world, "GET", url)).body.tokens.find((token: { id: string }) => token.id === made.body.id)
        .last_used_at;
    const deadline = Date.now() + 10_000;
    while ((await used()) === null && Date.now() < deadline) await delay(20);
    expect(Date.parse(await used())).toBeGreaterThan(Date.now() - 60_000);
  });
});

it("a token that asks too often has to wait, and no other", async () => {
  await using busy = await startWorld({ tokens: { requestsPerMinute: 60 } });
  const other = (await call(busy, "POST", url, { name: "other" })).body.token;
  const answers = await Promise.all(Array.from({ length: 80 }, () => call(busy, "GET", "/api/v1/whoami")));
  const refused = answers.filter(({ status }) => status === 429);
  expect(refused.length).toBeGreaterThan(0);
  expect(refused[0]?.body.error.code).toBe("rate_limited");
  expect(Number(refused[0]?.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
  const headers = { authorization: `Bearer ${other}` };
  expect((await call(busy, "GET", "/api/v1/whoami", undefined, headers)).status).toBe(200);
});

it("a bucket lets a burst through and then one by one", () => {
  let { bucket, wait } = take(undefined, 60, 0);
  for (let taken = 1; taken < 60; taken++) ({ bucket, wait } = take(bucket, 60, 0));
  expect(wait).toBe(0);
  ({ bucket, wait } = take(bucket, 60, 0));
  expect(wait).toBe(1);
  expect(take(bucket, 60, 999).wait).toBe(1);
  expect(take(bucket, 60, 1000).wait).toBe(0);
  expect(take(bucket, 60, 3_600_000).bucket.left).toBe(59);
});
