import { once } from "node:events";
import type { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { drained } from "@mags/kit";

/**
 * Carries what comes out of a sandbox into an SSH channel, at the pace of the channel's window and of the client's
 * connection: the library writes to the latter without looking, so a client that opens its windows wide and never reads
 * would fill our memory. Resolves when all of it is on its way, or the channel is closed.
 */
export async function pump(from: Readable, to: Writable, connection: Socket): Promise<void> {
  const closed = once(to, "close").catch(() => undefined);
  for await (const chunk of from.iterator({ destroyOnReturn: false })) {
    if (to.destroyed) return;
    const written = new Promise<void>((resolve) => to.write(chunk, () => resolve()));
    await Promise.race([written, closed]);
    await drained(connection);
  }
}
