import { Socket } from "node:net";
import type { Duplex } from "node:stream";

/**
 * Carries bytes both ways between two streams that may be half-closed: each keeps the other's pace, the end of one
 * direction leaves the other open, and whatever breaks one breaks the other. Resolves when both are closed.
 */
export async function join(a: Duplex, b: Duplex): Promise<void> {
  await Promise.all([carry(a, b), carry(b, a)]);
}

function carry(from: Duplex, to: Duplex): Promise<void> {
  from.pipe(to);
  return new Promise((resolve) => {
    // Every error is followed by `close`.
    from.on("error", () => undefined);
    from.once("close", () => {
      // Closed before its end, it has been broken off: the other side must not take that for an end.
      if (!from.readableEnded) breakOff(to);
      else if (!to.writableEnded) to.end();
      resolve();
    });
  });
}

const breakOff = (stream: Duplex): unknown => (stream instanceof Socket ? stream.resetAndDestroy() : stream.destroy());
