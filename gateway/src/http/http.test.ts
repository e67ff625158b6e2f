import { once } from "node:events";
import { request } from "node:http";
import { buffer, text } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import { run } from "@mags/kit";
import { expect, it } from "vitest";
import { exchange, HOST, raw, startEdge, until } from "../testing/edge.ts";

const curl = (port: number, args: string[]) =>
  run("curl", ["-sS", "--max-time", "20", "--resolve", `${HOST}:${port}:127.0.0.1`, ...args]);

it("a request arrives as it was sent, but for what belongs to one hop, and says who sent it", async () => {
  await using edge = await startEdge((req, res) => res.end(JSON.stringify([req.method, req.url, req.rawHeaders])));
  const [method, url, headers] = JSON.parse(
    await curl(edge.port, [
      ...["-X", "PATCH", "-H", "X-Twice: 1", "-H", "X-Twice: 2", "-H", "X-Gone: 1", "-H", "Keep-Alive: 5"],
      ...["-H", "Connection: X-Gone, Host, Authorization, close", "-H", "Authorization: mine", "-H", "Te: gzip"],
      ...["-H", "X-Forwarded-For: 6.6.6.6", "-H", "Forwarded: for=6.6.6.6", "-H", "X-Real-IP: 6.6.6.6"],
      ...["-H", "X-Forwarded-Prefix: /x", "-H", "Proxy-Authorization: p", "-A", "agent"],
      edge.url("/a//b/../c?x=%2F&y"),
      "--path-as-is",
    ]),
  ) as [string, string, string[]];
  expect([method, url]).toEqual(["PATCH", "/a//b/../c?x=%2F&y"]);
  const host = `${HOST}:${edge.port}`;
  const pairs = headers.flatMap((name, i) => (i % 2 ? [] : [`${name}: ${headers[i + 1]}`]));
  expect(pairs).toEqual([
    `Host: ${host}`,
    "User-Agent: agent",
    "Accept: */*",
    "X-Twice: 1",
    "X-Twice: 2",
    "Authorization: mine",
    "Content-Length: 0",
    "Connection: keep-alive",
    "X-Forwarded-For: 127.0.0.1",
    "X-Forwarded-Proto: http",
    `X-Forwarded-Host: ${host}`,
    "X-Real-IP: 127.0.0.1",
    `Forwarded: for=127.0.0.1;host="${host}";proto=http`,
  ]);
});

it("an answer arrives as it was given: status line, duplicates, no invented headers; its cookies stay on their host", async () => {
  await using edge = await startEdge((_req, res) => {
    res.sendDate = false;
    res.writeHead(299, "Odd But Fine", [
      ...["X-Twice", "1", "X-Twice", "2", "Connection", "X-Gone", "X-Gone", "1", "Keep-Alive", "timeout=9"],
      ...["Set-Cookie", "a=1; Domain=.apps.localhost; Path=/", "Set-Cookie", `b=2; domain=${HOST}`],
      ...["Proxy-Authenticate", "Basic"],
    ]);
    res.end("body");
  });
  const answer = await curl(edge.port, ["-i", edge.url()]);
  expect(answer.replaceAll("\r", "").split("\n")).toEqual([
    "HTTP/1.1 299 Odd But Fine",
    "X-Twice: 1",
    "X-Twice: 2",
    "Set-Cookie: a=1; Path=/",
    `Set-Cookie: b=2; domain=${HOST}`,
    "Connection: keep-alive",
    "Keep-Alive: timeout=60",
    "Transfer-Encoding: chunked",
    "",
    "body",
  ]);
});

it("connections are used again, on both sides", async () => {
  await using edge = await startEdge((_req, res) => res.end("ok"));
  await curl(
    edge.port,
    Array.from({ length: 10 }, () => edge.url()),
  );
  expect(edge.dialled()).toBe(1);
});

it("a kept connection that had died is not a visitor's problem", async () => {
  await using edge = await startEdge((_req, res) => res.end("ok"));
  edge.inner.keepAliveTimeout = 30;
  for (let i = 0; i < 20; i++) {
    expect(await curl(edge.port, [edge.url()])).toBe("ok");
    await delay(20 + i);
  }
});

it("bodies and trailers stream both ways", async () => {
  await using edge = await startEdge(async (req, res) => {
    res.writeHead(200, { Trailer: "X-Sum" });
    for await (const chunk of req) res.write(chunk);
    res.addTrailers({ "X-Sum": String(req.trailers["x-in"]), "Set-Cookie": "a=1" });
    res.end();
  });
  const call = request({
    port: edge.port,
    host: "127.0.0.1",
    method: "POST",
    headers: { host: HOST, trailer: "X-In", te: "trailers" },
  });
  call.write("one");
  const [response] = await once(call, "response");
  expect(String((await once(response, "data"))[0])).toBe("one");
  call.write("two");
  expect(String((await once(response, "data"))[0])).toBe("two");
  call.addTrailers({ "X-In": "7", Host: "evil" });
  call.end();
  await once(response, "end");
  expect(response.trailers).toEqual({ "x-sum": "7" });
});

it("HTTP/1.0, HEAD, 204 and 304 keep their framing", async () => {
  await using edge = await startEdge((req, res) => {
    if (req.url === "/204") res.writeHead(204).end();
    else if (req.url === "/304") res.writeHead(304, { ETag: "x" }).end();
    else if (req.method === "HEAD") res.writeHead(200, { "Content-Length": 1234 }).end();
    else res.write("part", () => res.end("end"));
  });
  const ask = (line: string) => exchange(edge, `${line}\r\nHost: ${HOST}\r\nConnection: close\r\n\r\n`);
  expect(await ask("GET / HTTP/1.0")).toMatch(/^HTTP\/1\.1 200 OK\r\n(?![\s\S]*chunked)[\s\S]*\r\n\r\npartend$/);
  expect(await ask("HEAD / HTTP/1.1")).toMatch(/Content-Length: 1234\r\n[\s\S]*\r\n\r\n$/);
  expect(await ask("GET /204 HTTP/1.1")).toMatch(/^HTTP\/1\.1 204 No Content\r\n[\s\S]*\r\n\r\n$/);
  expect(await ask("GET /304 HTTP/1.1")).toMatch(/^HTTP\/1\.1 304 Not Modified\r\n[\s\S]*ETag: x[\s\S]*\r\n\r\n$/);
});

it("Expect: 100-continue is the sandbox's to answer", async () => {
  await using edge = await startEdge((_req, res) => res.end("plain"));
  edge.inner.on("checkContinue", async (req, res) => {
    if (req.url === "/no") return void res.writeHead(417).end();
    await delay(100);
    res.writeContinue();
    res.end(`got ${(await buffer(req)).length}`);
  });
  const head = (path: string) =>
    `PUT ${path} HTTP/1.1\r\nHost: ${HOST}\r\nExpect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\n`;
  const willing = await raw(edge, head("/yes"));
  expect(await until(willing, "\r\n\r\n")).toBe("HTTP/1.1 100 Continue\r\n\r\n");
  willing.write("hello");
  expect(await text(willing)).toContain("got 5");
  const refused = await raw(edge, head("/no"));
  expect(await text(refused)).toMatch(/^HTTP\/1\.1 417 /);
});

it("a server that does not know Expect is given the body after a while", async () => {
  await using edge = await startEdge(() => undefined);
  edge.inner.on("checkContinue", async (req, res) => res.end(`got ${await text(req)}`));
  const socket = await raw(
    edge,
    `PUT / HTTP/1.1\r\nHost: ${HOST}\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n`,
  );
  expect(await until(socket, "\r\n\r\n")).toMatch(/^HTTP\/1\.1 100 Continue/);
  socket.write("ab");
  expect(await until(socket, "got")).toContain("got ab");
  socket.destroy();
});

it("an answer that comes before the body is whole reaches the client", async () => {
  await using edge = await startEdge((_req, res) => res.writeHead(413).end("too large"));
  const socket = await raw(edge, `POST / HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: 1000000\r\n\r\nstart`);
  const answer = await text(socket);
  expect(answer).toMatch(/^HTTP\/1\.1 413 [\s\S]*Connection: close[\s\S]*too large/);
});

it("server-sent events pass one by one, and a client that leaves is noticed in the sandbox", async () => {
  const left = Promise.withResolvers<void>();
  await using edge = await startEdge((_req, res) => {
    res.writeHead(200, { "content-type": "text/event-stream" });
    const timer = setInterval(() => res.write("data: x\n\n"), 20);
    res.once("close", () => {
      clearInterval(timer);
      left.resolve();
    });
  });
  const socket = await raw(edge, `GET / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
  await until(socket, "data: x");
  socket.destroy();
  await left.promise;
});

it("an answer that the sandbox breaks off is broken off for the client, and never looks whole", async () => {
  await using edge = await startEdge((req, res) => {
    if (req.url === "/length") res.writeHead(200, { "content-length": 100 });
    res.write("half", () => setTimeout(() => req.socket.resetAndDestroy(), 50));
  });
  for (const path of ["/length", "/chunked"]) {
    const answer = await exchange(edge, `GET ${path} HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
    expect(answer.endsWith("0\r\n\r\n")).toBe(false);
    await expect(curl(edge.port, [edge.url(path)])).rejects.toThrow(/transfer closed|chunk|Recv failure|Empty reply/);
  }
});

it("a client that has said all it had to say still gets its answer", async () => {
  await using edge = await startEdge(async (_req, res) => {
    await delay(200);
    res.end("late");
  });
  const socket = await raw(edge);
  socket.end(`GET / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
  expect(await text(socket)).toContain("late");
});

it("early hints are passed on", async () => {
  await using edge = await startEdge((_req, res) =>
    res.writeEarlyHints({ link: "</a.css>; rel=preload" }, () => res.end("x")),
  );
  const answer = await exchange(edge, `GET / HTTP/1.1\r\nHost: ${HOST}\r\nConnection: close\r\n\r\n`);
  expect(answer).toMatch(/^HTTP\/1\.1 103 Early Hints\r\nLink: <\/a\.css>; rel=preload\r\n\r\nHTTP\/1\.1 200 OK/);
});

it("a proxy that is trusted may name the client; what the client made up left of that does not count", async () => {
  await using edge = await startEdge((req, res) => res.end(JSON.stringify(req.headers)), {
    trustedProxies: ["127.0.0.0/8", "10.0.0.0/8"],
  });
  const headers = JSON.parse(
    await curl(edge.port, [
      ...["-H", "X-Forwarded-For: 6.6.6.6, 2001:db8::7, 10.1.1.1", "-H", "X-Forwarded-Proto: https", edge.url()],
    ]),
  );
  expect(headers).toMatchObject({
    "x-forwarded-for": "2001:db8::7",
    "x-forwarded-proto": "https",
    forwarded: `for="[2001:db8::7]";host="${HOST}:${edge.port}";proto=https`,
  });
});
