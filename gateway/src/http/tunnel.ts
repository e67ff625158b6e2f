import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { join } from "@mags/kit";
import type { SandboxConnections } from "./connections.ts";
import { open, type Passage } from "./forward.ts";
import { requestHeaders, responseHeaders } from "./headers.ts";
import { answer, pageOf } from "./pages.ts";

const KEEP_ALIVE_MS = 30_000;

/** Carries an Upgrade (WebSocket and others): the head by HTTP, then bytes both ways, each direction with its own end. */
export function tunnel(passage: Passage, socket: Duplex, head: Buffer, agent: SandboxConnections): void {
  const { request, response, door, host } = passage;
  const upstream = open(passage, agent, requestHeaders(request, passage.visitor, { ...passage, upgrade: true }));
  if (!upstream) return;
  const gone = () => upstream.destroy();
  socket.once("close", gone);
  upstream.on("upgrade", (reply, other, rest) => {
    socket.off("close", gone);
    response.detachSocket(socket as Socket);
    socket.write(switchingHead(reply, host), "latin1");
    if (rest.length > 0) socket.write(rest);
    if (head.length > 0) other.write(head);
    for (const each of [socket as Socket, other]) {
      each.setTimeout(0);
      each.setNoDelay(true);
      each.setKeepAlive(true, KEEP_ALIVE_MS);
    }
    void join(socket, other);
  });
  upstream.on("response", (reply) => {
    response.sendDate = false;
    response.shouldKeepAlive = false;
    response.writeHead(reply.statusCode ?? 502, reply.statusMessage ?? "", responseHeaders(reply, host));
    reply.pipe(response);
    reply.once("close", () => reply.complete || response.destroy());
    response.once("finish", () => socket.end());
  });
  upstream.on("error", (error) => {
    socket.off("close", gone);
    answer(response, pageOf(error, door.port));
    socket.end();
  });
  upstream.end();
}

function switchingHead(reply: IncomingMessage, host: string): string {
  const lines = [`HTTP/1.1 101 ${reply.statusMessage ?? "Switching Protocols"}`];
  const headers = responseHeaders(reply, host);
  for (let i = 0; i < headers.length; i += 2) lines.push(`${headers[i]}: ${headers[i + 1]}`);
  return `${lines.join("\r\n")}\r\nConnection: Upgrade\r\nUpgrade: ${reply.headers.upgrade ?? ""}\r\n\r\n`;
}
