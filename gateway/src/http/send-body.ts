import type { IncomingMessage, ServerResponse } from "node:http";
import type { SandboxConnection } from "./connection.ts";
import { trailers } from "./headers.ts";

/** How long a server may take to say that it wants a body that was announced with Expect, `ms` */
const CONTINUE_MS = 1000;

/**
 * Sends the body of a request behind its head, at the sandbox's pace. One that the client announced with Expect is asked for
 * when the sandbox wants it, which the returned function is told, or does not speak of it.
 */
export function sendBody(
  request: IncomingMessage,
  response: ServerResponse,
  connection: SandboxConnection,
): () => void {
  if (!/^100-continue$/i.test(request.headers.expect ?? "")) {
    pump(request, connection);
    return () => undefined;
  }
  let asked = false;
  const ask = () => {
    clearTimeout(timer);
    if (asked || response.headersSent || response.destroyed || connection.socket.destroyed) return;
    asked = true;
    response.writeContinue();
    pump(request, connection);
  };
  const timer = setTimeout(ask, CONTINUE_MS);
  return ask;
}

function pump(request: IncomingMessage, connection: SandboxConnection): void {
  const { socket } = connection;
  const chunked = request.headers["transfer-encoding"] !== undefined;
  request.on("data", (chunk: Buffer) => {
    if (!socket.writable) return;
    if (chunked) writeChunk(connection, chunk);
    else socket.write(chunk);
    if (socket.writableNeedDrain) request.pause();
  });
  request.once("end", () => {
    if (!socket.writable) return;
    if (chunked) socket.write(lastChunk(request), "latin1");
    connection.sent();
  });
}

function writeChunk({ socket }: SandboxConnection, chunk: Buffer): void {
  socket.cork();
  socket.write(`${chunk.length.toString(16)}\r\n`);
  socket.write(chunk);
  socket.write("\r\n");
  socket.uncork();
}

function lastChunk(request: IncomingMessage): string {
  const fields = trailers(request.rawTrailers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `0\r\n${fields.join("")}\r\n`;
}
