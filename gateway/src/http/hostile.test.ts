import { once } from "node:events";
import { text } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it, vi } from "vitest";
import { exchange, HOST, raw, startEdge, until } from "../testing/edge.ts";

const host = `Host: ${HOST}`;

describe("requests that two parsers could read in two ways", () => {
  const body = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
  const cases: Record<string, string> = {
    "Content-Length with Transfer-Encoding": `POST / HTTP/1.1\r\n${host}\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n${body}`,
    "Transfer-Encoding with Content-Length": `POST / HTTP/1.1\r\n${host}\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n${body}`,
    "two Content-Lengths": `POST / HTTP/1.1\r\n${host}\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab`,
    "two equal Content-Lengths": `POST / HTTP/1.1\r\n${host}\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na`,
    "a list of Content-Lengths": `POST / HTTP/1.1\r\n${host}\r\nContent-Length: 1, 1\r\n\r\na`,
    "a signed Content-Length": `POST / HTTP/1.1\r\n${host}\r\nContent-Length: +1\r\n\r\na`,
    "Transfer-Encoding that only looks like chunked": `POST / HTTP/1.1\r\n${host}\r\nTransfer-Encoding: xchunked\r\n\r\n${body}`,
    "Transfer-Encoding that ends in something else": `POST / HTTP/1.1\r\n${host}\r\nTransfer-Encoding: chunked, identity\r\n\r\n${body}`,
    "two Transfer-Encodings": `POST / HTTP/1.1\r\n${host}\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n${body}`,
    "a coding before chunked": `POST / HTTP/1.1\r\n${host}\r\nTransfer-Encoding: gzip, chunked\r\n\r\n${body}`,
    "chunked in HTTP/1.0": `POST / HTTP/1.0\r\n${host}\r\nTransfer-Encoding: chunked\r\n\r\n${body}`,
    "a space before the colon": `POST / HTTP/1.1\r\n${host}\r\nTransfer-Encoding : chunked\r\n\r\n${body}`,
    "a folded header": `POST / HTTP/1.1\r\n${host}\r\nX-Y: a\r\n Transfer-Encoding: chunked\r\n\r\n${body}`,
    "a bare carriage return in a value": `GET / HTTP/1.1\r\n${host}\r\nX: a\rTransfer-Encoding: chunked\r\n\r\n`,
    "a NUL in a value": `GET / HTTP/1.1\r\n${host}\r\nX: a\0b\r\n\r\n`,
    "a chunk size with a sign": `POST / HTTP/1.1\r\n${host}\r\nTransfer-Encoding: chunked\r\n\r\n+1\r\na\r\n0\r\n\r\n`,
    "two Hosts": `GET / HTTP/1.1\r\n${host}\r\nHost: other.apps.localhost\r\n\r\n`,
    "no Host": "GET / HTTP/1.1\r\n\r\n",
    "no Host in HTTP/1.0": "GET / HTTP/1.0\r\n\r\n",
    "the absolute form": `GET http://other.apps.localhost/ HTTP/1.1\r\n${host}\r\n\r\n`,
    "the authority form": `CONNECT 10.0.0.1:22 HTTP/1.1\r\n${host}\r\n\r\n`,
    "a target without a slash": `GET evil HTTP/1.1\r\n${host}\r\n\r\n`,
    "HTTP/0.9": "GET /\r\n\r\n",
    "HTTP/2 in the clear": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "Upgrade with a body": `POST / HTTP/1.1\r\n${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\nabc`,
  };
  for (const [name, request] of Object.entries(cases)) {
    it(`${name} is refused with 400, and nothing reaches the sandbox`, async () => {
      let reached = 0;
      await using edge = await startEdge((req, res) => {
        reached += req.url === "/probe" ? 0 : 1;
        res.end();
      });
      const answer = await exchange(edge, request);
      expect(answer).toMatch(/^HTTP\/1\.1 400 /);
      expect(answer.match(/HTTP\/1\.1/g)).toHaveLength(1);
      await exchange(edge, `GET /probe HTTP/1.1\r\n${host}\r\nConnection: close\r\n\r\n`);
      expect(reached).toBe(0);
    });
  }
});

describe("Host headers", () => {
  const wrong = [
    "a@b",
    "web/../x",
    "web%2eapps",
    " ",
    "-x",
    "a b",
    "web\t.apps",
    "[::1]",
    `${HOST}:99999999`,
    `"${HOST}"`,
    "ä",
  ];
  it.each(wrong)("%j is refused with 400", async (value) => {
    await using edge = await startEdge((_req, res) => res.end());
    const answer = await exchange(edge, `GET / HTTP/1.1\r\nHost: ${value}\r\nConnection: close\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
  });

  it("that lead nowhere are answered with 404 and a plain page", async () => {
    await using edge = await startEdge((_req, res) => res.end());
    for (const value of ["apps.localhost", "other.apps.localhost", `x.${HOST}`, `${HOST}.evil.example`, "127.0.0.1"]) {
      const answer = await exchange(edge, `GET / HTTP/1.1\r\nHost: ${value}\r\nConnection: close\r\n\r\n`);
      expect(answer).toMatch(/^HTTP\/1\.1 404 Not Found\r\nContent-Type: text\/plain; charset=utf-8\r\n/);
      expect(answer).toContain("404: there is no such address");
    }
  });

  it("are the same in capitals and with a port", async () => {
    await using edge = await startEdge((_req, res) => res.end("in"));
    const answer = await exchange(
      edge,
      `GET / HTTP/1.1\r\nHost: ${HOST.toUpperCase()}:1234\r\nConnection: close\r\n\r\n`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK[\s\S]*in/);
  });
});

it("a head that is too large is refused with 431", async () => {
  await using edge = await startEdge((_req, res) => res.end());
  const answer = await exchange(edge, `GET / HTTP/1.1\r\n${host}\r\nX: ${"x".repeat(40_000)}\r\n\r\n`);
  expect(answer).toMatch(/^HTTP\/1\.1 431 /);
});

it("many small headers are passed on whole", async () => {
  await using edge = await startEdge((req, res) =>
    res.end(String(req.rawHeaders.filter((name) => name === "X").length)),
  );
  edge.inner.maxHeadersCount = 0;
  const answer = await exchange(
    edge,
    `GET / HTTP/1.1\r\n${host}\r\n${"X: 1\r\n".repeat(3000)}Connection: close\r\n\r\n`,
  );
  expect(answer).toMatch(/\r\n\r\n3000$/);
});

it("an answer that is no HTTP, or whose head is endless, is a 502", async () => {
  await using edge = await startEdge((req) => {
    req.socket.write(req.url === "/junk" ? "SSH-2.0-x\r\n" : `HTTP/1.1 200 OK\r\nX: ${"x".repeat(200_000)}`);
  });
  for (const path of ["/junk", "/endless"]) {
    const answer = await exchange(edge, `GET ${path} HTTP/1.1\r\n${host}\r\nConnection: close\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 502 [\s\S]*X-Mags-Error: connection_lost/);
  }
});

it("a client that sends its head byte by byte, or nothing at all, is cut off", async () => {
  await using edge = await startEdge((_req, res) => res.end());
  const silent = await raw(edge);
  const slow = await raw(edge, `GET / HTTP/1.1\r\n${host}\r\n`);
  const dripping = setInterval(() => slow.write("X: y\r\n"), 500);
  const answers = await Promise.all([text(silent), text(slow)]);
  clearInterval(dripping);
  for (const answer of answers) expect(answer).toMatch(/^(HTTP\/1\.1 408 |$)/);
});

it("one address has a bounded number of connections, and the rest goes on when they are gone", async () => {
  await using edge = await startEdge((_req, res) => res.end("ok"));
  const sockets = await Promise.all(Array.from({ length: 1000 }, () => raw(edge)));
  for (const socket of sockets) socket.resume();
  const open = () => sockets.filter((socket) => !socket.readableEnded && !socket.destroyed).length;
  await vi.waitFor(() => expect(open()).toBeLessThanOrEqual(256), 9000);
  expect(open()).toBeGreaterThan(100);
  for (const socket of sockets) socket.destroy();
  await delay(200);
  expect(await exchange(edge, `GET / HTTP/1.1\r\n${host}\r\nConnection: close\r\n\r\n`)).toContain("ok");
});

it("a client that never reads holds no memory of ours, and holds its sandbox back instead", async () => {
  let written = 0;
  await using edge = await startEdge(async (_req, res) => {
    res.setMaxListeners(0);
    const chunk = Buffer.alloc(64 * 1024);
    for (let i = 0; i < 4096 && !res.destroyed; i++) {
      if (!res.write(chunk)) await Promise.race([once(res, "drain"), once(res, "close")]);
      written += chunk.length;
    }
  });
  const socket = await raw(edge, `GET / HTTP/1.1\r\n${host}\r\n\r\n`);
  socket.pause();
  let before = -1;
  while (before !== written) {
    before = written;
    await delay(500);
  }
  expect(written).toBeLessThan(32 * 1024 * 1024);
  socket.destroy();
});

it("requests written one behind the other are answered in order", async () => {
  await using edge = await startEdge(async (req, res) => {
    await delay(req.url === "/1" ? 100 : 0);
    res.end(`<${req.url}>`);
  });
  const get = (path: string, more = "") => `GET ${path} HTTP/1.1\r\n${host}\r\n${more}\r\n`;
  const answer = await exchange(edge, get("/1") + get("/2") + get("/3", "Connection: close\r\n"));
  expect(answer.match(/<\/\d>/g)).toEqual(["</1>", "</2>", "</3>"]);
});

it("an upload that stops in the middle ends in the sandbox as broken off", async () => {
  const ended = Promise.withResolvers<string>();
  await using edge = await startEdge(async (req) => {
    ended.resolve(await text(req).catch((error: NodeJS.ErrnoException) => `broken: ${error.code}`));
  });
  const socket = await raw(edge, `POST / HTTP/1.1\r\n${host}\r\nContent-Length: 100\r\n\r\nabc`);
  await delay(100);
  socket.destroy();
  expect(await ended.promise).toBe("broken: ECONNRESET");
});

it("a WebSocket's connection that is half closed still carries the other direction", async () => {
  await using edge = await startEdge((_req, res) => res.end());
  edge.inner.on("upgrade", async (_req, socket) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nready");
    const all = await text(socket);
    await delay(100);
    socket.end(`got ${all}`);
  });
  const socket = await raw(edge, `GET / HTTP/1.1\r\n${host}\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly`);
  await until(socket, "ready");
  socket.end(" late");
  expect(await text(socket)).toBe("got early late");
});
