import { createHash } from "node:crypto";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { text } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import { AgentClient } from "@mags/agent-client";
import { createLogger } from "@mags/kit";
import { ApiError, encodeFrame, FrameDecoder, HANDOVER_ASK, HANDOVER_GIVE, type SessionFrame } from "@mags/protocol";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { openTestDriver, type TestDriver } from "../drivers/container/testing.ts";
import type { Sandbox } from "../sandbox/driver.ts";
import { Activity, acceptVisitors } from "./index.ts";

const JOB = "3a1d2f5e-0000-4000-8000-000000000001";
const ASLEEP = "3a1d2f5e-0000-4000-8000-000000000002";
const TOKEN = "token of the node";
const SECRET = "secret of this process";
const ended = { exit_code: 0, signal: null, error: null, timed_out: false };
const sh = (command: string) => ({ argv: ["/bin/sh", "-c", command] });

let world: TestDriver;
let sandbox: Sandbox;
let server: Server;
let client: AgentClient;
let closeVisits: () => void;
const activity = new Activity();

beforeAll(async () => {
  world = await openTestDriver("access");
  sandbox = await world.create();
  ({ server, close: closeVisits } = await listen());
  client = new AgentClient({ name: "n", address: address() }, { token: TOKEN });
});
afterAll(async () => {
  closeVisits();
  server.close();
  await world.close();
});

async function listen(more: { beginMs?: number } = {}): Promise<{ server: Server; close: () => void }> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const close = acceptVisitors(server, {
    find: async (id) => {
      if (id === ASLEEP) throw new ApiError("unavailable", "no machine");
      if (id !== JOB) throw new ApiError("not_found", "not here");
      return { sandbox, environment: { PATH: "/usr/bin:/bin", OF: "job" }, activity };
    },
    authorize: ({ headers }) => {
      if (headers.authorization !== `Bearer ${TOKEN}`) throw new ApiError("unauthorized", "wrong token");
    },
    processSecret: SECRET,
    logger: createLogger("silent"),
    ...more,
  });
  return { server, close };
}

const address = (of = server) => `http://127.0.0.1:${(of.address() as { port: number }).port}`;

async function untilIdle(): Promise<void> {
  while (activity.open > 0) await delay(10);
}

test("a session over the wire has its streams apart, the job's environment under its own, and an exit code", async () => {
  const session = await client.open(JOB, { ...sh("cat; echo $OF $MINE >&2; exit 3"), env: { MINE: "own" } });
  expect(activity.open).toBe(1);
  session.stdin.end("input");
  const [stdout, stderr, exit] = await Promise.all([text(session.stdout), text(session.stderr), session.exit]);
  expect([stdout, stderr, exit]).toEqual(["input", "job own\n", { ...ended, exit_code: 3 }]);
  await untilIdle();
});

test("a large input that is never read holds up neither a signal nor the exit", async () => {
  const session = await client.open(JOB, sh("echo up; sleep 1000"));
  await once(session.stdout, "readable");
  session.stdin.write(Buffer.alloc(10 << 20));
  session.kill("SIGTERM");
  expect(await session.exit).toMatchObject({ exit_code: 143, signal: "SIGTERM" });
});

test("a large output that is read late slows the command down, and arrives whole", async () => {
  const session = await client.open(JOB, sh("head -c 50000000 /dev/zero; echo done >&2"));
  await delay(500);
  expect(session.stderr.readableLength).toBe(0);
  let bytes = 0;
  for await (const chunk of session.stdout) bytes += chunk.length;
  expect([bytes, await text(session.stderr), await session.exit]).toEqual([50_000_000, "done\n", ended]);
});

test("a program left in the background holds up neither the exit nor what was said before", async () => {
  const session = await client.open(JOB, sh("sleep 1006 & echo said"));
  expect([await text(session.stdout), await session.exit]).toEqual(["said\n", ended]);
});

test("a session is killed at its time limit, and says so", async () => {
  const session = await client.open(JOB, { ...sh("sleep 1000 & sleep 1000"), timeout: 0.3 });
  expect(await session.exit).toEqual({ exit_code: 137, signal: "SIGKILL", error: null, timed_out: true });
});

test("a terminal is resized", async () => {
  const session = await client.open(JOB, { ...sh("read x; stty size"), tty: { cols: 80, rows: 24 } });
  session.resize(132, 43);
  session.stdin.write("\r");
  expect(await text(session.stdout)).toContain("43 132");
});

test("whoever leaves ends the session", async () => {
  const session = await client.open(JOB, sh("echo up; exec sleep 1005"));
  await once(session.stdout, "readable");
  session.hangUp();
  await expect(session.exit).rejects.toThrow("broke");
  await untilIdle();
  const look = await client.open(JOB, sh("while pgrep -fx 'sleep 1005' >/dev/null; do sleep 0.05; done"));
  expect(await look.exit).toEqual(ended);
});

test("a caller that says nothing, or half of what it wants, is sent away and keeps nobody awake; one that has begun stays", async () => {
  // The sessions of the test before are ended a moment after their exits.
  await untilIdle();
  const strict = await listen({ beginMs: 500 });
  const client = new AgentClient({ name: "n", address: address(strict.server) }, { token: TOKEN });
  const talking = await client.open(JOB, sh("cat"));
  const silent = await client.session(JOB);
  const halting = await client.session(JOB);
  halting.write(encodeFrame({ type: "open", value: { ...sh("true"), env: {}, detach: false } }).subarray(0, 9));
  expect(activity.open).toBe(3);
  await Promise.all([once(silent, "close"), once(halting, "close")]);
  await vi.waitFor(() => expect(activity.open).toBe(1), 10_000);
  talking.stdin.end("still here");
  expect([await text(talking.stdout), await talking.exit]).toEqual(["still here", ended]);
  await untilIdle();
  strict.close();
  strict.server.close();
});

test("what cannot be started is told by the exit", async () => {
  const exit = async (more: object) => (await client.open(JOB, { ...sh("true"), ...more })).exit;
  expect(await exit({ user: "mallory" })).toMatchObject({
    exit_code: null,
    error: 'there is no user "mallory" in the sandbox',
  });
  expect(await exit({ argv: [] })).toMatchObject({ error: "open: argv must not be empty" });
  expect(await exit({ cwd: "/none" })).toMatchObject({ exit_code: null, error: expect.any(String) });
});

/** Frames of a raw connection, until one of the type `last`. */
async function frames(socket: Duplex, last: string): Promise<SessionFrame[]> {
  const decoder = new FrameDecoder();
  const seen: SessionFrame[] = [];
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    seen.push(...decoder.push(chunk));
    if (seen.some(({ type }) => type === last)) return seen;
  }
  throw new Error(`closed before ${last}: ${JSON.stringify(seen)}`);
}
const output = (seen: SessionFrame[]) =>
  Buffer.concat(seen.flatMap((frame) => (frame.type === "stdout" ? [frame.data] : []))).toString();
const named = (seen: SessionFrame[]) => {
  const [frame] = seen.filter(({ type }) => type === "session");
  return (frame as Extract<SessionFrame, { type: "session" }>).value;
};

test("a detached terminal goes on without its caller, who finds what was missed, and the exit", async () => {
  const open = {
    ...sh("echo one; read x; echo two $x; sleep 0.2; echo three"),
    env: {},
    tty: { cols: 80, rows: 24, term: "xterm" },
  };
  const first = await client.session(JOB);
  first.write(encodeFrame({ type: "open", value: { ...open, detach: true } }));
  const seen = await frames(first, "stdout");
  const { session, position } = named(seen);
  expect([position, output(seen)]).toEqual([0, "one\r\n"]);
  first.write(encodeFrame({ type: "stdin", data: Buffer.from("x\r") }));
  await frames(first, "stdout");
  first.destroy();
  await untilIdle();
  await delay(500);
  const second = await client.session(JOB);
  second.write(encodeFrame({ type: "attach", value: { session, received: 5 } }));
  const rest = await frames(second, "exit");
  expect([named(rest).position, output(rest)]).toEqual([5, "x\r\ntwo x\r\nthree\r\n"]);
  expect(rest.at(-1)).toEqual({ type: "exit", value: ended });
  second.end();
  const third = await client.session(JOB);
  third.write(encodeFrame({ type: "attach", value: { session, received: 0 } }));
  expect((await frames(third, "exit")).at(-1)).toMatchObject({
    value: { error: expect.stringContaining("no session") },
  });
});

test("a caller with a window gets no more output than that before it gives credit", async () => {
  const socket = await client.session(JOB);
  const value = { ...sh("head -c 300000 /dev/zero"), env: {}, detach: false, window: 65_536 };
  socket.write(encodeFrame({ type: "open", value }));
  const decoder = new FrameDecoder();
  let bytes = 0;
  let ahead = 0;
  let most = 0;
  for await (const chunk of socket) {
    for (const frame of decoder.push(chunk)) {
      if (frame.type === "stdout") {
        bytes += frame.data.length;
        ahead += frame.data.length;
        most = Math.max(most, ahead);
      }
      if (frame.type === "exit") socket.end();
    }
    await delay(5);
    if (ahead >= 65_536) socket.write(encodeFrame({ type: "credit", value: { bytes: ahead } }));
    if (ahead >= 65_536) ahead = 0;
  }
  expect(bytes).toBe(300_000);
  expect(most).toBeLessThan(3 * 65_536);
});

const outsiders = () => client;
const insiders = () => new AgentClient({ name: "n", address: address() }, { token: TOKEN, processSecret: SECRET });
const impostors = () =>
  new AgentClient({ name: "n", address: address() }, { token: TOKEN, processSecret: "secret of another process" });

test.each([
  ["through the agent", outsiders, false],
  ["through the agent, also for who says that he is in its process", impostors, false],
  ["without the agent in between, for who is in its process", insiders, true],
])("a port of the sandbox is dialled %s, with half-close and back-pressure", async (_way, caller, handedOver) => {
  const service = await client.open(JOB, {
    argv: [
      "/usr/bin/python3",
      "-c",
      `import socket, time
s = socket.create_server(("127.0.0.1", 8000)); print("up", flush=True)
c, _ = s.accept(); time.sleep(0.5); n = 0
while chunk := c.recv(1 << 20): n += len(chunk)
c.sendall(str(n).encode())`,
    ],
  });
  await once(service.stdout, "readable");
  const lineOpened = once(server, "upgrade");
  const socket = await caller().dial(JOB, 8000);
  const line: Socket = (await lineOpened)[1];
  expect(activity.open).toBe(2);
  const block = Buffer.alloc(1 << 20);
  for (let i = 0; i < 50; i++) if (!socket.write(block)) await once(socket, "drain");
  socket.end();
  expect(await text(socket)).toBe(String(50 << 20));
  expect(await service.exit).toEqual(ended);
  await untilIdle();
  expect(line.bytesRead < 1000).toBe(handedOver);
});

test("a connection that was handed over ends with its line, and one that nobody took is closed", async () => {
  const service = await client.open(JOB, {
    argv: [
      "/usr/bin/python3",
      "-c",
      `import socket
s = socket.create_server(("127.0.0.1", 8001)); print("up", flush=True)
c, _ = s.accept(); print("in", flush=True); c.recv(1); print("out", flush=True)`,
    ],
  });
  await once(service.stdout, "readable");
  const said = text(service.stdout);
  const lineOpened = once(server, "upgrade");
  const socket = await insiders().dial(JOB, 8001);
  const closed = once(socket, "close");
  ((await lineOpened)[1] as Socket).destroy();
  await closed;
  expect(await said).toBe("up\nin\nout\n");
  // Asked for by hand, and left without a word.
  const ports = await client.open(JOB, { argv: ["/usr/bin/python3", "-m", "http.server", "8002"] });
  const descriptors = () => readdirSync("/proc/self/fd").length;
  await vi.waitFor(async () => (await client.dial(JOB, 8002)).destroy(), 20_000);
  await vi.waitFor(() => expect(activity.open).toBe(1), 10_000);
  const open = descriptors();
  const digest = createHash("sha256").update(SECRET).digest("hex");
  for (let i = 0; i < 5; i++) {
    const rude = connect((server.address() as AddressInfo).port, "127.0.0.1");
    rude.write(
      `POST /agent/v1/jobs/${JOB}/dial/8002 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nAuthorization: Bearer ${TOKEN}\r\n${HANDOVER_ASK}: ${digest}\r\n\r\n`,
    );
    expect(String((await once(rude, "data"))[0])).toMatch(new RegExp(`${HANDOVER_GIVE}: \\d+ ${SECRET}`));
    rude.end();
    await once(rude, "close");
  }
  await vi.waitFor(() => expect(descriptors()).toBe(open), 10_000);
  ports.hangUp();
  await untilIdle();
});

test("visits that cannot be are refused with the reason", async () => {
  const code = (attempt: Promise<unknown>) =>
    attempt.then(
      () => "none",
      (error: ApiError) => error.code,
    );
  expect(await code(client.dial(JOB, 9999))).toBe("port_closed");
  expect(await code(client.dial(JOB, 0))).toBe("invalid_request");
  expect(await code(client.dial(JOB, 70_000))).toBe("invalid_request");
  expect(await code(client.dial(ASLEEP, 80))).toBe("unavailable");
  expect(await code(client.open("3a1d2f5e-0000-4000-8000-000000000003", sh("true")))).toBe("not_found");
  expect(await code(new AgentClient({ name: "n", address: address() }, { token: "other" }).dial(JOB, 80))).toBe(
    "unauthorized",
  );
  expect(
    await code(new AgentClient({ name: "n", address: "http://127.0.0.1:9" }, { token: TOKEN }).dial(JOB, 80)),
  ).toBe("unavailable");
  expect(activity.open).toBe(0);
});
