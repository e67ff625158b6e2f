/**
 * Requests that are nearly right, and some that are not HTTP, to everything that listens: the API as its OpenAPI document
 * describes it, the gateway, the agent, terminals. Whatever comes is answered, and nothing ends. The seed is printed.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { inParallel, run } from "@mags/kit";
import type { Mags } from "@mags/sdk";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ErrorBody } from "../../protocol/src/errors.ts";
import { Daemon } from "../harness/daemon.ts";
import { agentShots } from "./agent.ts";
import { cases, seed } from "./config.ts";
import { type Operation, operationsOf } from "./document.ts";
import { frames, malformed, wire } from "./lines.ts";
import { type Shot, shots, type Things } from "./requests.ts";
import { type Reply, shoot } from "./shoot.ts";

const BATCH = 100;
const AT_ONCE = 4;
/** What may be said of a machine, or of what the server needs, that is away or full; nothing else may be the server's fault. */
const EXCUSES = ["unavailable", "wake_timeout", "port_closed", "disk_full"];

let daemon: Daemon;
let mags: Mags;
let operations: Operation[];
let things: Things;
let token: string;

beforeAll(async () => {
  process.stdout.write(`fuzz suite: ${cases} cases, MAGS_FUZZ_SEED=${seed}\n`);
  daemon = await Daemon.start({ MAGS_POOL_MIN: "0" });
  mags = await daemon.client();
  token = await daemon.token();
  operations = operationsOf((await daemon.http("GET", "/openapi.json")).body);
  things = await makeThings();
});
afterAll(() => daemon?.remove());

async function makeThings(): Promise<Things> {
  const make = async (path: string, body: object, method = "POST") =>
    (await daemon.http(method, `/api/v1/${path}`, body)).body;
  const [ended, box] = [
    await mags.run("echo out; echo err >&2"),
    await mags.run("true", { persistent: true, workspaceId: "ws" }),
  ];
  await Promise.all([mags.wait(ended.requestId), mags.wait(box.requestId)]);
  await mags.sync(box.requestId);
  await make("secrets/secret", { value: "value" }, "PUT");
  const cron = await make("mags-cron", { name: "cron", cron_expression: "@yearly", script: "true" });
  const webhook = await make("webhooks", { url: "https://hook.example" });
  const member = await make("members", { email: "a@example.org" });
  await make("organisations", { id: "other" });
  return {
    "/mags-jobs/": [box.requestId, ended.requestId, "ws"],
    "/mags-workspaces/": ["ws"],
    "/mags-cron/": [cron.id, "cron"],
    "/webhooks/": [webhook.id],
    "/members/": [member.id],
    "/secrets/": ["secret"],
    "/organisations/": ["other"],
  };
}

/** Shoots, and answers what was wrong with the answers. */
async function violations(
  port: number,
  made: fc.Arbitrary<Shot>,
  count: number,
  authorization: string,
): Promise<string[]> {
  const found: string[] = [];
  for (let done = 0; done < count; done += BATCH) {
    const batch = fc.sample(made, { seed: seed + done, numRuns: Math.min(BATCH, count - done) });
    await inParallel(AT_ONCE, batch, async (shot) => {
      const reply = await shoot(port, ...wire(shot, authorization)).catch((error: Error) => error);
      const wrong = reply instanceof Error ? reply.message : wrongWith(shot, reply);
      if (wrong)
        found.push(
          `${shot.operation}: ${wrong}\n  ${shot.method} ${shot.target.slice(0, 300)} (${shot.way})\n  ${JSON.stringify(shot.headers)}\n  ${String(shot.body?.subarray(0, 600))}`,
        );
    });
    await tidy();
    expect(await alive(), `after case ${done + batch.length} of seed ${seed}`).toBe(true);
  }
  return found;
}

function wrongWith({ way }: Shot, { status, type, body }: Reply): string | undefined {
  // Half a body is no request: the line may be closed without a word.
  if (status === 0) return way === "cut" || way === "short" ? undefined : "closed without an answer";
  if (status < 400) return undefined;
  if (!type.startsWith("application/json")) return `${status} as ${type}: ${body.slice(0, 200)}`;
  const known = ErrorBody.safeParse(safeJson(Buffer.from(body, "latin1").toString()));
  if (!known.success) return `${status} is no error of the API: ${body.slice(0, 300)}`;
  if (status >= 500 && !EXCUSES.includes(known.data.error.code)) return `${status} ${body.slice(0, 300)}`;
  return undefined;
}

function safeJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Jobs of the cases that have been made are ended, so that they do not wait for the machine. */
async function tidy(): Promise<void> {
  const own = things["/mags-jobs/"] ?? [];
  for (const status of ["accepted", "starting", "running", "sleeping"] as const)
    for (const { request_id } of (await mags.list({ status, pageSize: 200 })).jobs)
      if (!own.includes(request_id)) await mags.stop(request_id).catch(() => undefined);
}

async function alive(): Promise<boolean> {
  const { status } = await daemon.http("GET", "/readyz");
  return status === 200 && (await run("ps", ["-o", "pid=", "-p", String(daemon.pid)])).trim() === String(daemon.pid);
}

test(
  "no request that the API's document suggests, right or wrong, is answered with a fault of the server's",
  async () => {
    const any = fc.oneof(...operations.map((operation) => shots(operation, things)));
    expect(await violations(daemon.port, any, cases, `Bearer ${token}`)).toEqual([]);
    // A request may have put it to sleep just now.
    const said = () => mags.exec(things["/mags-jobs/"]?.[0] as string, "echo alive");
    const outcome = () => said().then(({ stdout }) => stdout, String);
    await expect.poll(outcome, { timeout: 60_000 }).toBe("alive\n");
  },
  120_000 + cases * 2000,
);

test("nothing but a refusal comes without a token, or with one that only looks like it", async () => {
  const guarded = operations.filter(({ path }) => path.startsWith("/api/") && !/session|logins\/exchange/.test(path));
  for (const authorization of [
    "",
    "Bearer",
    "Bearer x",
    `Bearer ${token}x`,
    `bearer\t${token}`,
    `Basic ${token}`,
    `Bearer ${"x".repeat(8000)}`,
  ]) {
    const [shot] = fc.sample(fc.oneof(...guarded.map((operation) => shots(operation, things))), { seed, numRuns: 1 });
    const reply = await shoot(daemon.port, ...wire({ ...(shot as Shot), way: "whole" }, authorization));
    expect([authorization.slice(0, 20), reply.status]).toEqual([
      authorization.slice(0, 20),
      expect.toBeOneOf([400, 401, 404, 415, 431]),
    ]);
  }
});

test("what is hardly HTTP is refused by API, gateway and agent, and ends none of them", async () => {
  const found: string[] = [];
  const hosts = [`${things["/mags-jobs/"]?.[0]}.apps.localhost`, "nobody.apps.localhost"];
  for (const port of [daemon.port, daemon.appsPort, await agentPort()])
    await inParallel(AT_ONCE, fc.sample(malformed(hosts), { seed, numRuns: Math.ceil(cases / 10) }), async (bytes) => {
      const reply = await shoot(port, bytes, "close").catch((error: Error) => error);
      if (reply instanceof Error)
        found.push(`${port}: ${reply.message}: ${JSON.stringify(bytes.toString("latin1").slice(0, 300))}`);
      else if (reply.status === 500)
        found.push(`${port}: 500 ${reply.body.slice(0, 200)}: ${bytes.toString("latin1").slice(0, 300)}`);
    });
  expect(found).toEqual([]);
  expect(await alive()).toBe(true);
}, 300_000);

test("a terminal that is spoken to in any way but the right one is closed, and its machine stays", async () => {
  const [box = ""] = things["/mags-jobs/"] ?? [];
  const found: string[] = [];
  await inParallel(AT_ONCE, fc.sample(frames, { seed, numRuns: Math.ceil(cases / 20) }), async (bytes) => {
    const head = `GET /api/v1/mags-jobs/${box}/terminal HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`;
    const reply = await shoot(daemon.port, Buffer.from(head), bytes).catch((error: Error) => error);
    if (reply instanceof Error || reply.status !== 101) found.push(JSON.stringify(reply));
  });
  expect(found).toEqual([]);
  expect((await mags.exec(box, "echo alive")).stdout).toBe("alive\n");
  expect(await alive()).toBe(true);
}, 300_000);

test(
  "the agent answers what a server would not send",
  async () => {
    const node = (await readFile(join(daemon.dataDir, "node.token"), "utf8")).trim();
    const port = await agentPort();
    expect(await violations(port, agentShots(things), Math.ceil(cases / 4), `Bearer ${node}`)).toEqual([]);
    // What cannot be read is refused before anybody looks at who sends it.
    const foreign: number[] = [];
    await inParallel(AT_ONCE, fc.sample(agentShots(things), { seed, numRuns: 20 }), async (shot) => {
      foreign.push((await shoot(port, ...wire({ ...shot, way: "whole" }, `Bearer ${token}`))).status);
    });
    expect(foreign.filter((status) => status !== 400)).toContain(401);
    expect(foreign.filter((status) => status !== 400 && status !== 401)).toEqual([]);
  },
  120_000 + cases * 1000,
);

/** The agent takes any port that is free. */
async function agentPort(): Promise<number> {
  const lines = (await run("ss", ["-Hltnp"])).split("\n").filter((line) => line.includes(`pid=${daemon.pid},`));
  const ports = lines.map((line) => Number(/127\.0\.0\.1:(\d+)/.exec(line)?.[1]));
  return ports.find((port) => ![daemon.port, daemon.appsPort, daemon.sshPort].includes(port)) as number;
}
