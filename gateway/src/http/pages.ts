import type { ServerResponse } from "node:http";
import { ApiError } from "@mags/protocol";
import { isClosed } from "../dial.ts";
import { NoDoor } from "../wake.ts";
import { ReplyError } from "./reply-parser.ts";

/** Why the gateway itself answers. The word goes into a header, so that programs tell it from the sandbox's own answers. */
const kinds = {
  bad_request: 400,
  token_required: 401,
  password_required: 401,
  unknown: 404,
  too_many_attempts: 429,
  port_closed: 502,
  connection_lost: 502,
  unavailable: 503,
  asleep: 504,
} as const;

export interface Page {
  kind: keyof typeof kinds;
  message: string;
  headers?: Record<string, string>;
}

/** Answers with a plain page, where nothing has been answered yet; else the connection is cut. */
export function answer(response: ServerResponse, { kind, message, headers = {} }: Page): void {
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  const status = kinds[kind];
  const text = `${status}: ${message}\n`;
  response.sendDate = true;
  response.writeHead(status, {
    "Content-Type": "text/plain; charset=utf-8",
    "Content-Length": Buffer.byteLength(text),
    "Cache-Control": "no-store",
    "X-Mags-Error": kind,
    ...(kind === "bad_request" ? { Connection: "close" } : {}),
    ...(kind === "unavailable" ? { "Retry-After": "1" } : {}),
    ...headers,
  });
  response.end(text);
}

/** What a visitor is told when his sandbox could not be reached. */
export function pageOf(error: unknown, port?: number | null): Page {
  if (error instanceof NoDoor) return { kind: error.kind, message: error.message };
  if (isClosed(error)) return { kind: "port_closed", message: `nothing listens on port ${port} of the sandbox` };
  if (error instanceof ApiError)
    return { kind: "connection_lost", message: "the sandbox cannot be reached: it may just have ended" };
  const did = error instanceof ReplyError ? "did not answer in HTTP" : "broke off before it answered";
  return { kind: "connection_lost", message: `the server on port ${port} of the sandbox ${did}` };
}
