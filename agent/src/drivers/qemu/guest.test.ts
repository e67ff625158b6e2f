import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import ssh2 from "ssh2";
import { afterEach, expect, it } from "vitest";
import { SSH_PORT } from "./connection.ts";
import { Guest } from "./guest.ts";

/** A machine's address without a machine */
const ADDRESS = "127.77.0.1";
const { private: privateKey } = ssh2.utils.generateKeyPairSync("ed25519");
const at = { netns: "/proc/self/ns/net", address: ADDRESS, privateKey, hostKey: undefined };

let close: () => void = () => undefined;
afterEach(() => close());

async function answer(with_: (socket: Socket) => void): Promise<() => number> {
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    socket.on("error", () => undefined);
    with_(socket);
  });
  server.listen(SSH_PORT, ADDRESS);
  await once(server, "listening");
  close = () => server.close();
  return () => connections;
}

it.each<[string, (socket: Socket) => void]>([
  ["cuts connections off", (socket) => void setTimeout(() => socket.resetAndDestroy(), 20)],
  ["hangs up", (socket) => socket.destroy()],
  ["speaks another protocol", (socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")],
])("a machine whose server %s is tried again until the deadline, and nothing else happens", async (_, act) => {
  const connections = await answer(act);
  await expect(Guest.connect(at, () => true, performance.now() + 500)).rejects.toThrow(/^the machine is not reached: /);
  expect(connections()).toBeGreaterThan(1);
});

it("a machine that ends while it is waited for is told as such", async () => {
  await answer(() => undefined);
  let up = true;
  setTimeout(() => {
    up = false;
  }, 100);
  const connected = Guest.connect(at, () => up, performance.now() + 60_000);
  await expect(connected).rejects.toThrow("the machine is not reached: the machine has ended");
});
