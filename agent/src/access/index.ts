import type { IncomingMessage, Server } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { join, type Logger } from "@mags/kit";
import { ApiError, rawAnswer } from "@mags/protocol";
import type { Sandbox } from "../sandbox/driver.ts";
import type { Activity } from "./activity.ts";
import { asksForHandover, given, untilLeft } from "./handover.ts";
import { serveSession } from "./serve-session.ts";
import { HeldSessions } from "./sessions.ts";

export { Activity } from "./activity.ts";

/** A sandbox as those who come in need it. */
export interface Visited {
  sandbox: Sandbox;
  /** variables of the job */
  environment: Record<string, string>;
  activity: Activity;
}

export interface AccessOptions {
  /** throws ApiError when the job is not here or has no machine */
  find(jobId: string): Promise<Visited>;
  /** throws ApiError when the request may not come in */
  authorize(request: IncomingMessage): void;
  /** callers in this process know it, and are given connections themselves */
  processSecret?: string | undefined;
  /** longest time between the connection of a session and its first frame, 30 s by default, `ms` */
  beginMs?: number;
  logger: Logger;
}

const ROUTE = /^\/agent\/v1\/jobs\/([0-9a-f-]{36})\/(session|dial\/(\d{1,5}))$/;
/** Longest wait for a port that takes no connections, `ms`. */
const DIAL_MS = 10_000;
const KEEP_ALIVE_MS = 30_000;
const BEGIN_MS = 30_000;

/**
 * Lets server and gateway into sandboxes: `POST /agent/v1/jobs/:id/dial/:port` with `Upgrade: tcp` is a connection to that
 * port from inside, bytes both ways with half-close; `POST /agent/v1/jobs/:id/session` with `Upgrade: session` speaks the
 * frames of `protocol/src/session.ts`. Returns what closes all of them.
 */
export function acceptVisitors(server: Server, options: AccessOptions): () => void {
  const open = new Set<Duplex>();
  const held = new HeldSessions();
  server.on("upgrade", (request: IncomingMessage, socket: Socket, head: Buffer) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
    socket.on("error", () => undefined);
    if (head.length > 0) socket.unshift(head);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    visit(request, socket, options, held).catch((error: Error) => {
      if (!(error instanceof ApiError)) options.logger.warn({ err: error, path: request.url }, "a visit failed");
      refuse(socket, error instanceof ApiError ? error : new ApiError("internal", error.message));
    });
  });
  return () => {
    for (const socket of open) socket.destroy();
    held.hangUpAll();
  };
}

async function visit(
  request: IncomingMessage,
  socket: Duplex,
  options: AccessOptions,
  held: HeldSessions,
): Promise<void> {
  options.authorize(request);
  const [, jobId, what, port] = ROUTE.exec(request.url ?? "") ?? [];
  const kind = port === undefined ? "session" : "tcp";
  if (!jobId || !what || request.headers.upgrade?.toLowerCase() !== kind || request.method !== "POST")
    throw new ApiError("not_found", `the agent has no ${request.method} ${request.url} with this Upgrade`);
  const { sandbox, environment, activity } = await options.find(jobId);
  const end = activity.begin();
  try {
    if (kind === "session") {
      accept(socket, kind);
      await serveSession(socket, held.of(jobId, sandbox, environment), options.beginMs ?? BEGIN_MS);
    } else {
      await carry(socket, sandbox, Number(port), request, options.processSecret);
    }
  } finally {
    end();
  }
}

async function carry(
  socket: Duplex,
  sandbox: Sandbox,
  port: number,
  request: IncomingMessage,
  processSecret: string | undefined,
): Promise<void> {
  if (processSecret && sandbox.dialDescriptor && asksForHandover(request, processSecret)) {
    const fd = await dial(port, (signal) => sandbox.dialDescriptor?.(port, signal) as Promise<number>);
    accept(socket, "tcp", given(fd, processSecret));
    return untilLeft(socket, fd);
  }
  const inside = await dial(port, (signal) => sandbox.dial(port, signal));
  accept(socket, "tcp");
  return join(socket, inside);
}

async function dial<T>(port: number, connect: (signal: AbortSignal) => Promise<T>): Promise<T> {
  if (port < 1 || port > 65_535) throw new ApiError("invalid_request", "port must be from 1 to 65535", "port");
  try {
    return await connect(AbortSignal.timeout(DIAL_MS));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ECONNREFUSED") throw new ApiError("port_closed", `nothing listens on port ${port} of the sandbox`);
    if (code === "ABORT_ERR") throw new ApiError("port_closed", `port ${port} of the sandbox takes no connections`);
    throw new ApiError("unavailable", message);
  }
}

function accept(socket: Duplex, protocol: string, more = ""): void {
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n${more}\r\n`);
}

function refuse(socket: Duplex, error: ApiError): void {
  if (!socket.writable) return;
  socket.end(rawAnswer(error), () => socket.destroy());
}
