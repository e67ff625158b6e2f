import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { Socket } from "node:net";
import { HANDOVER_ASK, HANDOVER_GIVE } from "@mags/protocol";

/** What asks the agent for the bare connection, where it is in our own process. */
export const askFor = (processSecret: string): Record<string, string> => ({
  [HANDOVER_ASK]: createHash("sha256").update(processSecret).digest("hex"),
});

/**
 * Takes a connection that the agent of our own process gives away; undefined when it does not. The line stays open beside it, so that
 * the agent knows that somebody is there, and can end it.
 */
export function takeOver(answer: IncomingMessage, line: Socket, processSecret: string): Socket | undefined {
  const [, descriptor, proof] = /^(\d+) (.+)$/.exec(String(answer.headers[HANDOVER_GIVE])) ?? [];
  // Any other process could only name a descriptor that means something else here.
  if (proof !== processSecret) return undefined;
  const inside = new Socket({ fd: Number(descriptor), readable: true, writable: true, allowHalfOpen: true });
  inside.on("error", () => undefined);
  inside.once("close", () => line.destroy());
  line.once("close", () => inside.destroy());
  line.write("taken");
  line.resume();
  return inside;
}
