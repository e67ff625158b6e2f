/** Who is let in, and what happens while the sandbox is not there. */
import { createHash, scryptSync } from "node:crypto";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { ApiError, PASSWORD_HASH_BYTES } from "@mags/protocol";
import { describe, expect, it } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { type Edge, exchange, HOST, ready, startEdge } from "../testing/edge.ts";

const TOKEN = "a-token-nobody-guesses";
const tokenGuard = { access: "token", hash: createHash("sha256").update(TOKEN).digest("hex") } as const;

const get = (edge: Edge, path = "/", headers: Record<string, string> = {}, method = "GET") =>
  exchange(
    edge,
    `${method} ${path} HTTP/1.1\r\n${Object.entries({ Host: HOST, Connection: "close", ...headers })
      .map(([name, value]) => `${name}: ${value}\r\n`)
      .join("")}\r\n`,
  );

describe("an address with a token", () => {
  const open = async () => {
    const edge = await startEdge((req, res) => res.end(JSON.stringify([req.url, req.headers])));
    edge.resolve(() => ready(tokenGuard));
    return edge;
  };

  it("refuses who has none, or a wrong one", async () => {
    await using edge = await open();
    for (const answer of [
      await get(edge),
      await get(edge, "/?mags_token=wrong"),
      await get(edge, "/", { "X-Mags-Token": "" }),
      await get(edge, "/", { Cookie: `mags_token=${TOKEN}x` }),
    ])
      expect(answer).toMatch(/^HTTP\/1\.1 401 [\s\S]*X-Mags-Error: token_required/);
  });

  it("turns the one in a browser's address into a cookie, and never sends the browser elsewhere", async () => {
    await using edge = await open();
    const answer = await get(edge, `//evil.example/x?a=1&mags_token=${TOKEN}&b=2`);
    expect(answer).toMatch(/^HTTP\/1\.1 303 /);
    expect(answer).toContain(`\r\nLocation: http://${HOST}//evil.example/x?a=1&b=2\r\n`);
    expect(answer).toContain(`\r\nSet-Cookie: mags_token=${TOKEN}; Path=/; HttpOnly; SameSite=Lax\r\n`);
  });

  it("lets in by header, cookie or query, and the sandbox does not see the token", async () => {
    await using edge = await open();
    for (const answer of [
      await get(edge, "/p?q=1", { "X-Mags-Token": TOKEN }),
      await get(edge, "/p?q=1", { Cookie: `own=1; mags_token=${TOKEN}; more=2` }),
      await get(edge, `/p?mags_token=${TOKEN}&q=1`, {}, "POST"),
    ]) {
      expect(answer).toMatch(/^HTTP\/1\.1 200 [\s\S]*"\/p\?q=1"/);
      expect(answer).not.toContain(TOKEN);
    }
    expect(await get(edge, "/", { Cookie: `own=1; mags_token=${TOKEN}; more=2` })).toContain(
      '"cookie":"own=1; more=2"',
    );
  });

  it("gives an address that guesses a pause", async () => {
    await using edge = await open();
    for (let i = 0; i < 20; i++) await get(edge, `/?mags_token=${i}`);
    expect(await get(edge, "/", { "X-Mags-Token": TOKEN })).toMatch(/^HTTP\/1\.1 429 [\s\S]*Retry-After: \d+/);
  });
});

it("an address with a password asks for it, and keeps it from the sandbox", async () => {
  await using edge = await startEdge((req, res) => res.end(JSON.stringify(req.headers)));
  const hash = scryptSync("right password", "salt", PASSWORD_HASH_BYTES).toString("hex");
  edge.resolve(() => ready({ access: "password", username: "me", salt: "salt", hash }));
  const basic = (text: string) => ({ Authorization: `Basic ${Buffer.from(text).toString("base64")}` });
  expect(await get(edge)).toMatch(/^HTTP\/1\.1 401 [\s\S]*WWW-Authenticate: Basic realm="Mags"/);
  expect(await get(edge, "/", basic("me:wrong"))).toMatch(/^HTTP\/1\.1 401 /);
  expect(await get(edge, "/", basic("you:right password"))).toMatch(/^HTTP\/1\.1 401 /);
  for (let i = 0; i < 2; i++) {
    const answer = await get(edge, "/", basic("me:right password"));
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
    expect(answer).not.toContain("authorization");
  }
});

describe("a sandbox that is not there yet", () => {
  it("holds its visitors until it is up, and many of them ask once", async () => {
    await using edge = await startEdge((_req, res) => res.end("up"));
    let asked = 0;
    edge.resolve(async ({ wait_ms }) => {
      asked++;
      expect(wait_ms).toBe(30_000);
      await delay(300);
      return ready();
    });
    const answers = await Promise.all(Array.from({ length: 20 }, () => get(edge)));
    for (const answer of answers) expect(answer).toMatch(/^HTTP\/1\.1 200 [\s\S]*up/);
    expect(asked).toBe(1);
  });

  it("and does not come up is a 504 that says why", async () => {
    await using edge = await startEdge((_req, res) => res.end());
    const { job, port, guard } = ready() as Extract<ReturnType<typeof ready>, { state: "ready" }>;
    edge.resolve(() => ({ state: "waking", job, port, guard, reason: "the sandbox is waking up" }));
    const answer = await get(edge);
    expect(answer).toMatch(/^HTTP\/1\.1 504 [\s\S]*504: the sandbox is waking up, and was not up after 30 s/);
  });

  it("a port that nobody listens on yet is tried for a while", async () => {
    await using edge = await startEdge((_req, res) => res.end("at last"));
    let tries = 0;
    const { promise: dial, resolve: found } = Promise.withResolvers<void>();
    edge.dial(async () => {
      if (++tries === 4) found();
      throw new ApiError("port_closed", "refused");
    });
    const answer = get(edge);
    await dial;
    expect(await answer).toMatch(/^HTTP\/1\.1 502 [\s\S]*nothing listens on port 8080 of the sandbox/);
    expect(tries).toBeGreaterThan(5);
  });

  it("that has moved is looked for once more", async () => {
    await using edge = await startEdge((_req, res) => res.end("moved"));
    const { dialled } = edge;
    let lost = true;
    let asked = 0;
    edge.resolve(() => {
      asked++;
      return ready();
    });
    const { port } = edge.inner.address() as { port: number };
    const { connect } = await import("node:net");
    edge.dial(async () => {
      if (lost) {
        lost = false;
        throw new ApiError("not_found", "it is not here");
      }
      const socket = connect(port, "127.0.0.1");
      await once(socket, "connect");
      return socket;
    });
    expect(
      await exchange(edge, `POST / HTTP/1.1\r\nHost: ${HOST}\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc`),
    ).toMatch(/^HTTP\/1\.1 200 [\s\S]*moved/);
    expect([asked, dialled()]).toEqual([2, 0]);
  });
});

it("while the control plane is away, who was known is still let in; others are told to come back", async () => {
  await using edge = await startEdge((_req, res) => res.end("still here"));
  expect(await get(edge)).toContain("still here");
  edge.resolve(() => undefined);
  await delay(1100);
  expect(await get(edge)).toContain("still here");
  const other = await get(edge, "/", { Host: "other.apps.localhost" });
  expect(other).toMatch(/^HTTP\/1\.1 503 [\s\S]*Retry-After: 1/);
});

it("WebSockets pass: text, binary, large messages, closing codes, refusals, and many at once", async () => {
  await using edge = await startEdge((_req, res) => res.end());
  const inner = new WebSocketServer({ noServer: true, maxPayload: 64 * 1024 * 1024 });
  edge.inner.on("upgrade", (req, socket, head) => {
    if (req.url === "/no") return socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nnope");
    inner.handleUpgrade(req, socket, head, (ws) => {
      ws.on("message", (data, isBinary) => {
        if (String(data).startsWith("close")) ws.close(4321, "as asked");
        else ws.send(data, { binary: isBinary });
      });
    });
  });
  const open = (path = "/") =>
    new WebSocket(`ws://127.0.0.1:${edge.port}${path}`, { headers: { Host: HOST }, maxPayload: 64 * 1024 * 1024 });
  const echo = async (ws: WebSocket, data: string | Buffer) => {
    ws.send(data);
    return (await once(ws, "message"))[0] as Buffer;
  };
  const ws = open();
  await once(ws, "open");
  expect(String(await echo(ws, "hello"))).toBe("hello");
  const large = Buffer.alloc(20 * 1024 * 1024, "x");
  expect((await echo(ws, large)).equals(large)).toBe(true);
  ws.send("close");
  const [code, reason] = await once(ws, "close");
  expect([code, String(reason)]).toEqual([4321, "as asked"]);

  const refused = open("/no");
  const [error] = await once(refused, "error");
  expect(error.message).toContain("403");

  const many = Array.from({ length: 100 }, () => open());
  await Promise.all(many.map((socket) => once(socket, "open")));
  const answers = await Promise.all(many.map((socket, i) => echo(socket, `n${i}`)));
  expect(answers.map(String)).toEqual(many.map((_, i) => `n${i}`));
  for (const socket of many) socket.terminate();
});

it("a WebSocket to an address with a token needs it too", async () => {
  await using edge = await startEdge((_req, res) => res.end());
  edge.resolve(() => ready(tokenGuard));
  const inner = new WebSocketServer({ server: edge.inner });
  inner.on("connection", (ws, req) => ws.send(req.url ?? ""));
  const open = (path: string) => new WebSocket(`ws://127.0.0.1:${edge.port}${path}`, { headers: { Host: HOST } });
  expect((await once(open("/"), "error"))[0].message).toContain("401");
  const ws = open(`/socket?mags_token=${TOKEN}`);
  expect(String((await once(ws, "message"))[0])).toBe("/socket");
  ws.terminate();
});

it("a request whose sandbox ends while it waits is answered, and the gateway goes on", async () => {
  await using edge = await startEdge((req, res) =>
    req.url === "/die" ? req.socket.resetAndDestroy() : res.end("fine"),
  );
  expect(await get(edge, "/die")).toMatch(/^HTTP\/1\.1 502 [\s\S]*broke off before it answered/);
  expect(await get(edge, "/")).toContain("fine");
});
