import { once } from "node:events";
import type { Duplex } from "node:stream";
import type { ServerChannel, TcpipRequestInfo } from "ssh2";
import { pump } from "./pump.ts";
import type { SessionNeeds } from "./session.ts";

/** Names of the sandbox's own loopback. */
const OWN = new Set(["localhost", "127.0.0.1", "::1", "ip6-localhost"]);

/** Answers one forwarded connection (`ssh -L`, `ssh -D`): to ports of the sandbox itself, and to nothing else. */
export async function serveForward(
  { destIP, destPort }: TcpipRequestInfo,
  accept: () => ServerChannel,
  reject: () => void,
  { reach, dialer, connection }: SessionNeeds,
): Promise<void> {
  if (!OWN.has(destIP.toLowerCase().replace(/\.$/, "")) || destPort < 1 || destPort > 65_535) return reject();
  const inside = await reach((door) => dialer.dial(door, destPort)).catch(() => undefined);
  if (!inside) return reject();
  if (connection.destroyed) {
    inside.destroy();
    return;
  }
  const channel: Duplex = accept();
  channel.on("error", () => undefined);
  channel.once("close", () => inside.destroy());
  inside.once("close", () => channel.destroy());
  channel.pipe(inside);
  await pump(inside, channel, connection);
  channel.end();
  // The visitor may still have something to say.
  if (!channel.readableEnded) await once(channel, "end").catch(() => undefined);
}
