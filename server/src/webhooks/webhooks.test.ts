import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Webhook as Reference } from "standardwebhooks";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { call, createJob, startWorld, TestNode, type World } from "../testing.ts";
import { Addresses } from "./addresses.ts";
import { decideDisable, decideRetry, retryRules } from "./decide.ts";

interface Got {
  headers: IncomingHttpHeaders;
  body: string;
  path: string;
}

let world: World;
let node: TestNode;
let receiver: Server;
let base: string;
let got: Got[] = [];
let answer: (path: string) => number;

beforeAll(async () => {
  receiver = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk) => {
      body += chunk;
    });
    request.on("end", () => {
      got.push({ headers: request.headers, body, path: request.url ?? "" });
      const status = answer(request.url ?? "");
      response.writeHead(status, status === 302 ? { location: "/elsewhere" } : {}).end();
    });
  }).listen(0, "127.0.0.1");
  await once(receiver, "listening");
  base = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`;
  const retry = { retrySeconds: [0.05, 0.1, 0.1], disableSeconds: 3600 };
  world = await startWorld({ webhooks: { allow: ["127.0.0.0/8"], retry } });
  node = new TestNode(world, "n1");
  await node.register();
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  receiver.close();
});
beforeEach(async () => {
  await world.sql.query("DELETE FROM webhooks");
  got = [];
  answer = () => 204;
});

const add = (path = "/", more: object = {}) =>
  call(world, "POST", "/api/v1/webhooks", { url: `${base}${path}`, ...more });
const deliveries = async (id: string, query = "") =>
  (await call(world, "GET", `/api/v1/webhooks/${id}/deliveries${query}`)).body.deliveries;
const until = (count: number) => expect.poll(() => got.length, { timeout: 30_000 }).toBeGreaterThanOrEqual(count);
async function runJob(name: string) {
  const job = await createJob(world, { name });
  const assignment = (await node.claim({ max: 100 })).find(({ id }) => id === job.body.request_id);
  if (!assignment) throw new Error("not handed out");
  await node.started(assignment);
  await node.finished(assignment, { exit_code: 3 });
  return assignment.id;
}

describe("a webhook", () => {
  it("is told of a job once, with a signature that the reference takes", async () => {
    const made = await add();
    const id = await runJob("told");
    await until(1);
    const [{ headers, body }] = got as [Got];
    const event = new Reference(made.body.secret).verify(body, headers as Record<string, string>);
    expect(event).toMatchObject({
      type: "job.completed",
      data: { request_id: id, name: "told", status: "completed", exit_code: 3 },
    });
    expect(() => new Reference(made.body.secret).verify(`${body} `, headers as Record<string, string>)).toThrow();
    await expect.poll(async () => (await deliveries(made.body.id))[0]?.state, { timeout: 20_000 }).toBe("delivered");
    expect(await deliveries(made.body.id)).toHaveLength(1);
    expect((await deliveries(made.body.id))[0]).toMatchObject({
      id: headers["webhook-id"],
      attempts: 1,
      status_code: 204,
      request_id: id,
    });
  });

  it("is told what it asked for, of its own organisation", async () => {
    await add("/all", { events: ["job.started", "job.completed", "job.stopped"] });
    const org = await call(world, "POST", "/api/v1/organisations", { id: "other" });
    await call(
      world,
      "POST",
      "/api/v1/webhooks",
      { url: `${base}/foreign` },
      { authorization: `Bearer ${org.body.token.token}` },
    );
    await runJob("one");
    const waiting = await createJob(world, { name: "two" });
    await call(world, "POST", `/api/v1/mags-jobs/${waiting.body.request_id}/stop`);
    await until(3);
    const types = got.map(({ body, path }) => `${path} ${JSON.parse(body).type}`).sort();
    expect(types).toEqual(["/all job.completed", "/all job.started", "/all job.stopped"]);
  });

  it("that fails is tried again with pauses, is dead after the last, and can be replayed with the same id", async () => {
    answer = () => 500;
    const made = await add();
    await runJob("failing");
    await expect.poll(async () => (await deliveries(made.body.id, "?state=dead")).length, { timeout: 30_000 }).toBe(1);
    const [dead] = await deliveries(made.body.id);
    expect(dead).toMatchObject({ attempts: 4, status_code: 500, error: "the receiver answered 500", next_at: null });
    expect(new Set(got.map(({ headers }) => headers["webhook-id"])).size).toBe(1);
    expect((await call(world, "GET", "/api/v1/webhooks")).body.webhooks[0].failing_since).not.toBeNull();
    answer = () => 200;
    expect((await call(world, "POST", `/api/v1/webhooks/${made.body.id}/deliveries/${dead.id}/replay`)).status).toBe(
      202,
    );
    await expect.poll(async () => (await deliveries(made.body.id))[0].state, { timeout: 20_000 }).toBe("delivered");
    expect(got.at(-1)?.headers["webhook-id"]).toBe(dead.id);
    await expect
      .poll(async () => (await call(world, "GET", "/api/v1/webhooks")).body.webhooks[0].failing_since)
      .toBeNull();
  });

  it("is not led elsewhere by a redirect, and is switched off by 410", async () => {
    answer = (path) => (path === "/moved" ? 302 : 410);
    const moved = await add("/moved");
    const gone = await add("/gone");
    for (const { body } of [moved, gone]) await call(world, "POST", `/api/v1/webhooks/${body.id}/test`);
    await expect
      .poll(async () => (await call(world, "GET", "/api/v1/webhooks")).body.webhooks[1].enabled, { timeout: 20_000 })
      .toBe(false);
    await expect.poll(async () => (await deliveries(moved.body.id))[0].state, { timeout: 20_000 }).toBe("dead");
    expect(got.map(({ path }) => path)).not.toContain("/elsewhere");
    expect((await call(world, "GET", "/api/v1/webhooks")).body.webhooks[1].disabled_reason).toContain("410");
    answer = () => 200;
    await call(world, "PATCH", `/api/v1/webhooks/${gone.body.id}`, { enabled: true });
    await call(world, "POST", `/api/v1/webhooks/${gone.body.id}/test`);
    await expect.poll(async () => (await deliveries(gone.body.id))[0].state, { timeout: 20_000 }).toBe("delivered");
  });

  it("has a key that is kept encrypted, and a new one when that is asked for", async () => {
    const made = await add();
    const { rows } = await world.sql.query("SELECT w::text AS row FROM webhooks w");
    expect(rows[0].row).not.toContain(made.body.secret);
    const rotated = await call(world, "POST", `/api/v1/webhooks/${made.body.id}/rotate`);
    await call(world, "POST", `/api/v1/webhooks/${made.body.id}/test`);
    await until(1);
    const [{ headers, body }] = got as [Got];
    expect(() => new Reference(made.body.secret).verify(body, headers as Record<string, string>)).toThrow();
    expect(new Reference(rotated.body.secret).verify(body, headers as Record<string, string>)).toMatchObject({
      type: "test",
    });
  });

  it("with a wrong address or events is refused, naming what is wrong", async () => {
    for (const [field, body] of [
      ["url", { url: "ftp://example.com" }],
      ["url", { url: "https://user:pw@example.com" }],
      ["events", { url: "https://example.com", events: [] }],
      ["events.0", { url: "https://example.com", events: ["job.exploded"] }],
    ] as const)
      expect((await call(world, "POST", "/api/v1/webhooks", body)).body.error.field, JSON.stringify(body)).toBe(field);
  });
});

describe("private addresses", () => {
  it("are not called unless the setting allows it, whether they are written or looked up", async () => {
    await using strict = await startWorld({
      webhooks: { allow: [], retry: { retrySeconds: [], disableSeconds: 3600 } },
    });
    for (const url of [
      `${base}/literal`,
      base.replace("127.0.0.1", "localhost"),
      base.replace("127.0.0.1", "[::ffff:127.0.0.1]"),
    ]) {
      const made = await call(strict, "POST", "/api/v1/webhooks", { url });
      await call(strict, "POST", `/api/v1/webhooks/${made.body.id}/test`);
      const look = async () =>
        (await call(strict, "GET", `/api/v1/webhooks/${made.body.id}/deliveries`)).body.deliveries[0];
      await expect.poll(async () => (await look()).state, { timeout: 20_000 }).toBe("dead");
      expect((await look()).error).toMatch(/may (not )?be called/);
    }
    expect(got).toEqual([]);
  });

  it.each([
    ["93.184.215.14", true],
    ["2606:2800:21f:cb07:6820:80da:af6b:8b2c", true],
    ["127.0.0.1", false],
    ["10.1.2.3", false],
    ["172.31.0.1", false],
    ["192.168.0.1", false],
    ["169.254.169.254", false],
    ["100.100.0.1", false],
    ["0.0.0.0", false],
    ["::1", false],
    ["fe80::1", false],
    ["fd00::1", false],
    ["::ffff:10.0.0.1", false],
    ["64:ff9b::a00:1", false],
    ["2002:7f00:1::", false],
    ["no address", false],
  ])("%s may be called: %s", (address, permitted) => {
    expect(new Addresses([]).permits(address)).toBe(permitted);
  });

  it("of an allowed network may be called, and no others", () => {
    const addresses = new Addresses(["10.1.0.0/16", "::1"]);
    expect(
      ["10.1.2.3", "::ffff:10.1.2.3", "10.2.0.1", "::1", "127.0.0.1"].map((address) => addresses.permits(address)),
    ).toEqual([true, true, false, true, false]);
  });
});

describe("what becomes of a try", () => {
  const failed = { statusCode: 500, error: "no" };
  it("grows the pauses, spreads them by a fifth, and gives up after a day and a half", () => {
    const waits = retryRules.retrySeconds.map((_, index) => decideRetry(index + 1, failed, retryRules, 0.5));
    expect(waits.every(({ state }) => state === "pending")).toBe(true);
    expect(decideRetry(retryRules.retrySeconds.length + 1, failed, retryRules, 0.5)).toEqual({ state: "dead" });
    expect([0, 0.5].map((chance) => decideRetry(2, failed, retryRules, chance))).toEqual([
      { state: "pending", waitSeconds: 48 },
      { state: "pending", waitSeconds: 60 },
    ]);
    expect(decideRetry(1, { statusCode: 200, error: null }, retryRules, 0.5)).toEqual({ state: "delivered" });
  });

  it("switches a webhook off that takes nothing for five days", () => {
    const now = new Date("2026-01-10T00:00:00Z");
    expect(decideDisable(failed, new Date("2026-01-06T00:00:00Z"), now, retryRules)).toBeUndefined();
    expect(decideDisable(failed, new Date("2026-01-04T00:00:00Z"), now, retryRules)).toContain(
      "nothing was delivered since 2026-01-04",
    );
    expect(decideDisable({ statusCode: 200, error: null }, new Date(0), now, retryRules)).toBeUndefined();
  });
});
