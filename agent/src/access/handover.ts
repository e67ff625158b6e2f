import { createHash } from "node:crypto";
import { once } from "node:events";
import { closeSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { HANDOVER_ASK, HANDOVER_GIVE } from "@mags/protocol";

/** True when the caller is in our own process and can be given a connection itself. */
export function asksForHandover({ headers }: IncomingMessage, processSecret: string | undefined): boolean {
  if (processSecret === undefined) return false;
  return headers[HANDOVER_ASK] === createHash("sha256").update(processSecret).digest("hex");
}

export const given = (fd: number, processSecret: string): string => `${HANDOVER_GIVE}: ${fd} ${processSecret}\r\n`;

/**
 * Waits for the caller to take what it was offered, then for the end of its visit. A caller that leaves without having taken it leaves it
 * to us to close. Where it is our side that closes the line, that cannot be known, and then all of the process is about to end.
 */
export async function untilLeft(line: Duplex, fd: number): Promise<void> {
  let taken = false;
  line.once("data", () => {
    taken = true;
  });
  line.once("end", () => {
    if (!taken) closeSync(fd);
    line.destroy();
  });
  if (!line.closed) await once(line, "close");
}
