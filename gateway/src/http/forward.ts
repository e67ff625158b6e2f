import {
  type ClientRequest,
  type IncomingMessage,
  request as openRequest,
  type RequestOptions,
  type ServerResponse,
} from "node:http";
import type { Door } from "../wake.ts";
import type { SandboxConnections } from "./connections.ts";
import { requestHeaders, responseHeaders, trailers, type Visitor } from "./headers.ts";
import { answer, pageOf } from "./pages.ts";

/** Largest head of an answer, `bytes` */
const RESPONSE_HEAD_BYTES = 128 * 1024;
/** How long a server may take to say that it wants a body that was announced with Expect, `ms` */
const CONTINUE_MS = 1000;
/** How long the rest of a body is swallowed after the answer is out, so that the client gets to read it, `ms` */
const LINGER_MS = 2000;
const REPEATABLE = /^(GET|HEAD|OPTIONS)$/;

/** One request of a visitor who was let in. */
export interface Passage {
  request: IncomingMessage;
  response: ServerResponse;
  door: Door;
  host: string;
  visitor: Visitor;
  path: string;
  replace: Record<string, string | null>;
}

/** Two ways to the sandbox: over kept connections, and over new ones where a kept one had died. */
export interface Ways {
  kept: SandboxConnections;
  fresh: SandboxConnections;
}

/** Carries a request to the sandbox and its answer back, both streamed. Answers a page when the sandbox does not. */
export function forward(passage: Passage, ways: Ways, agent = ways.kept): void {
  const { request, response, door } = passage;
  const upstream = open(passage, agent, requestHeaders(request, passage.visitor, { ...passage, upgrade: false }));
  if (!upstream) return;
  const gone = () => {
    if (!response.writableFinished) upstream.destroy();
  };
  response.once("close", gone);
  let answered = false;
  upstream.on("response", (reply) => {
    answered = true;
    passBack(reply, passage);
  });
  upstream.on("information", ({ statusCode, rawHeaders }) => {
    if (statusCode === 103) earlyHints(response, rawHeaders);
  });
  upstream.on("error", (error) => {
    // A server may answer and close before it has read the body: then its answer counts.
    if (answered || response.destroyed) return;
    response.off("close", gone);
    if (agent === ways.kept && upstream.reusedSocket && REPEATABLE.test(request.method ?? "") && !hasBody(request))
      forward(passage, ways, ways.fresh);
    else answer(response, pageOf(error, door.port));
  });
  // Nothing of a body is taken before there is somebody to give it to.
  upstream.once("socket", () => sendBody(request, response, upstream));
  upstream.flushHeaders();
}

/** A request to the sandbox, not sent yet; undefined, and answered, when its head cannot be sent. */
export function open(
  { request, response, door, path }: Passage,
  agent: SandboxConnections,
  headers: string[],
): ClientRequest | undefined {
  const options = { agent, door, method: request.method, path, headers };
  try {
    const upstream = openRequest({ ...options, maxHeaderSize: RESPONSE_HEAD_BYTES, setHost: false } as RequestOptions);
    upstream.maxHeadersCount = 0;
    return upstream;
  } catch {
    answer(response, {
      kind: "bad_request",
      message: "the request target or a header has characters that are not allowed",
    });
    return undefined;
  }
}

const hasBody = ({ headers }: IncomingMessage) =>
  headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;

/** A body that the client announces with Expect is asked for when the sandbox wants it, or does not speak of it. */
function sendBody(request: IncomingMessage, response: ServerResponse, upstream: ClientRequest): void {
  const send = () => {
    request.pipe(upstream, { end: false });
    request.once("end", () => {
      const rest = trailers(request);
      if (rest.length > 0 && request.headers["transfer-encoding"] !== undefined) upstream.addTrailers(rest as never);
      upstream.end();
    });
  };
  if (!/^100-continue$/i.test(request.headers.expect ?? "") || !hasBody(request)) {
    send();
    return;
  }
  let asked = false;
  const ask = () => {
    clearTimeout(timer);
    if (asked || response.headersSent || response.destroyed) return;
    asked = true;
    response.writeContinue();
    send();
  };
  const timer = setTimeout(ask, CONTINUE_MS);
  upstream.once("continue", ask);
  upstream.once("response", () => clearTimeout(timer));
  upstream.once("close", () => clearTimeout(timer));
}

function passBack(reply: IncomingMessage, { request, response, host }: Passage): void {
  if (response.destroyed) {
    reply.destroy();
    return;
  }
  response.sendDate = false;
  try {
    // The rest of a body that nobody wants would be taken for the next request.
    if (!request.complete) response.shouldKeepAlive = false;
    response.writeHead(reply.statusCode ?? 502, reply.statusMessage ?? "", responseHeaders(reply, host));
  } catch {
    reply.destroy();
    answer(response, { kind: "connection_lost", message: "the server in the sandbox sent a head that is not HTTP" });
    return;
  }
  reply.pipe(response, { end: false });
  reply.once("end", () => {
    const rest = trailers(reply);
    if (rest.length > 0 && !response.hasHeader("content-length")) response.addTrailers(rest);
    response.end();
    if (!request.complete) linger(request);
  });
  // An answer that was broken off must not look like a whole one.
  const cut = () => {
    if (!reply.complete) response.destroy();
  };
  reply.once("error", cut);
  reply.once("close", cut);
}

function linger(request: IncomingMessage): void {
  request.unpipe();
  request.resume();
  const timer = setTimeout(() => request.socket.destroy(), LINGER_MS);
  request.socket.once("close", () => clearTimeout(timer));
}

function earlyHints(response: ServerResponse, raw: string[]): void {
  const links = raw.filter((_, i) => i % 2 === 1 && raw[i - 1]?.toLowerCase() === "link");
  try {
    if (links.length > 0 && !response.headersSent) response.writeEarlyHints({ link: links });
  } catch {
    // Hints that are not well-formed are only hints.
  }
}
