import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { join } from "@mags/kit";
import type { SandboxConnections } from "./connections.ts";
import { forward, type Passage } from "./forward.ts";
import { responseHeaders } from "./headers.ts";
import { lowerCase, type ReplyHead } from "./reply-parser.ts";

const KEEP_ALIVE_MS = 30_000;

/** Carries an Upgrade (WebSocket and others): the head by HTTP, then bytes both ways, each direction with its own end. */
export function tunnel(passage: Passage, socket: Duplex, head: Buffer, connections: SandboxConnections): void {
  const { response, host } = passage;
  forward(passage, connections, (reply, other) => {
    response.detachSocket(socket as Socket);
    socket.write(switchingHead(reply, host), "latin1");
    if (head.length > 0) other.write(head);
    for (const each of [socket as Socket, other]) {
      each.setTimeout(0);
      each.setNoDelay(true);
      each.setKeepAlive(true, KEEP_ALIVE_MS);
    }
    void join(socket, other);
  });
}

function switchingHead(reply: ReplyHead, host: string): string {
  const lines = [`HTTP/1.1 101 ${reply.reason || "Switching Protocols"}`];
  const headers = responseHeaders(reply, host);
  for (let i = 0; i < headers.length; i += 2) lines.push(`${headers[i]}: ${headers[i + 1]}`);
  const at = reply.headers.findIndex((name, i) => i % 2 === 0 && lowerCase(name) === "upgrade");
  return `${lines.join("\r\n")}\r\nConnection: Upgrade\r\nUpgrade: ${at === -1 ? "" : reply.headers[at + 1]}\r\n\r\n`;
}
