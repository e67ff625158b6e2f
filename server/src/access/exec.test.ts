import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { AgentClient } from "@mags/agent-client";
import { encodeFrame } from "@mags/protocol";
import { afterAll, beforeAll, expect, test } from "vitest";
import { stream } from "./exec.ts";

/** An agent whose session says what a test writes, and a server in front of a caller. */
let agent: Server;
let server: Server;

beforeAll(async () => {
  agent = createServer().listen(0, "127.0.0.1");
  server = createServer().listen(0, "127.0.0.1");
  await Promise.all([once(agent, "listening"), once(server, "listening")]);
});
afterAll(() => {
  agent.close();
  server.close();
});

const portOf = (of: Server) => (of.address() as AddressInfo).port;
const printed = (text: string) => encodeFrame({ type: "stdout", data: Buffer.from(text) });
const ended = { exit_code: 0, signal: null, error: null, timed_out: false };

/** A command that is streamed to a caller: what it prints through `inside`, and when the stream is over. */
async function streamed() {
  const upgraded = once(agent, "upgrade");
  const node = { name: "n", address: `http://127.0.0.1:${portOf(agent)}` };
  const opening = new AgentClient(node, { token: "t" }).open("job", { argv: ["x"] });
  const inside: Socket = (await upgraded)[1];
  inside.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: session\r\n\r\n");
  const requested = once(server, "request");
  const caller = connect(portOf(server), "127.0.0.1");
  caller.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  const [, out] = (await requested) as [IncomingMessage, ServerResponse];
  const session = await opening;
  const over = stream(session, Buffer.alloc(0), out, {});
  return { inside, caller, out, over };
}

test("a stream whose caller has hung up is over with the next output, and keeps nothing", async () => {
  const { inside, caller, out, over } = await streamed();
  inside.write(printed("one"));
  expect(String((await once(caller, "data"))[0])).toContain("event: output");
  caller.destroy();
  await once(out, "close");
  inside.write(printed("two"));
  await over;
  inside.destroy();
});

test("a caller that is slow is waited for as often as that takes, gets all of it, and leaves no listener behind", async () => {
  const { inside, caller, out, over } = await streamed();
  for (let n = 0; n < 30; n++) inside.write(printed("x".repeat(1 << 20)));
  inside.end(encodeFrame({ type: "exit", value: ended }));
  let listeners = 0;
  let bytes = 0;
  let last = "";
  for await (const chunk of caller) {
    listeners = Math.max(listeners, out.listenerCount("close"));
    bytes += chunk.length;
    last = (last + chunk).slice(-1000);
    if (last.includes("event: exit")) break;
  }
  await over;
  expect(bytes).toBeGreaterThan(30 << 20);
  expect(listeners).toBeLessThan(4);
});
