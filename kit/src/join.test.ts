import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, expect, test } from "vitest";
import { join } from "./index.ts";

/** Two joined connections: what `near` says arrives at `far`, and the other way round. */
let near: Socket;
let far: Socket;
let joined: Promise<void>;
const closers: (() => void)[] = [];

async function pair(): Promise<[Socket, Socket]> {
  const server = createServer({ allowHalfOpen: true }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = connect({ port: (server.address() as { port: number }).port, host: "127.0.0.1", allowHalfOpen: true });
  const [other] = (await once(server, "connection")) as [Socket];
  await once(client, "connect");
  closers.push(() => {
    client.destroy();
    other.destroy();
    server.close();
  });
  return [client, other];
}

beforeEach(async () => {
  const [a, inner] = await pair();
  const [other, b] = await pair();
  [near, far] = [a, b];
  joined = join(inner, other);
});
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

test("each direction ends by itself", async () => {
  near.end("question");
  expect(await text(far)).toBe("question");
  far.write("still ");
  far.end("answered");
  expect(await text(near)).toBe("still answered");
  await joined;
});

test("a broken side breaks the other", async () => {
  near.resetAndDestroy();
  await expect(text(far)).rejects.toThrow("ECONNRESET");
  await joined;
});

test("whoever does not read slows the sender down", async () => {
  const block = Buffer.alloc(1 << 20);
  let sent = 0;
  while (near.writableLength < 8 * block.length && sent < 200) {
    near.write(block);
    sent++;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  expect(sent).toBeLessThan(200);
  near.end();
  let received = 0;
  for await (const chunk of far) received += (chunk as Buffer).length;
  expect(received).toBe(sent * block.length);
});
