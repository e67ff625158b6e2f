import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { WebSocket } from "ws";
import { ADMIN, call, createJob, startWorld, TestNode, type World } from "../testing.ts";

let world: World;
let agent: Server;
let job: string;
/** connections of sessions that came to the agent */
let came: Socket[];

beforeAll(async () => {
  world = await startWorld();
  agent = createServer().listen(0, "127.0.0.1");
  agent.on("upgrade", (_request, socket: Socket) => {
    came.push(socket);
    socket.on("error", () => undefined);
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: session\r\n\r\n");
    socket.pipe(socket);
  });
  await once(agent, "listening");
  const node = new TestNode(world, "a");
  node.address = `http://127.0.0.1:${(agent.address() as AddressInfo).port}`;
  await node.register();
  job = (await createJob(world, { persistent: true })).body.request_id;
  const [claimed] = await node.claim();
  if (!claimed) throw new Error("the node got no job");
  await node.started(claimed);
});
beforeEach(() => {
  came = [];
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  agent.close();
});

const path = () => `/api/v1/mags-jobs/${job}/terminal`;

/** What is answered to a request that is written by hand, until its connection closes. */
async function shout(method: string, headers: Record<string, string>): Promise<string> {
  const socket = connect(Number(new URL(world.server.url).port), "127.0.0.1").setEncoding("utf8");
  const lines = Object.entries({ Host: "x", Authorization: `Bearer ${ADMIN}`, ...headers });
  socket.write(`${method} ${path()} HTTP/1.1\r\n${lines.map((line) => `${line.join(": ")}\r\n`).join("")}\r\n`);
  let answer = "";
  for await (const chunk of socket) answer += chunk;
  return answer;
}

test("a terminal that is asked for without a WebSocket is refused, and nobody comes into the machine", async () => {
  const { status, body } = await call(world, "GET", path());
  expect([status, body.error.code, body.message]).toEqual([400, "invalid_request", expect.stringContaining("Upgrade")]);
  expect(await shout("HEAD", { Connection: "close" })).toMatch(/^HTTP\/1\.1 400 /);
  expect(came).toEqual([]);
});

test.each([
  ["a wrong key", "GET", { "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "A" }, 400],
  ["a wrong version", "GET", { "Sec-WebSocket-Version": "7", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==" }, 400],
  ["another method", "HEAD", { "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==" }, 404],
])("a handshake with %s is refused, and leaves nobody in the machine", async (_, method, headers, status) => {
  const answer = await shout(method, { Connection: "Upgrade", Upgrade: "websocket", ...headers });
  expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  await vi.waitFor(() => expect(came.map((socket) => socket.closed)).not.toContain(false), 10_000);
});

test("a terminal carries bytes both ways, and leaves the machine with its caller", async () => {
  const socket = new WebSocket(`${world.server.url.replace("http", "ws")}${path()}`, {
    headers: { authorization: `Bearer ${ADMIN}` },
  });
  await once(socket, "open");
  socket.send("echoed");
  expect(String((await once(socket, "message"))[0])).toBe("echoed");
  expect(came).toHaveLength(1);
  socket.close();
  await vi.waitFor(() => expect(came[0]?.closed).toBe(true), 10_000);
});
