import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Door } from "../wake.ts";
import type { Exchange, SandboxConnection } from "./connection.ts";
import type { SandboxConnections } from "./connections.ts";
import { requestHead, responseHeaders, trailers, type Visitor } from "./headers.ts";
import { answer, pageOf } from "./pages.ts";
import { lowerCase, type ReplyHead } from "./reply-parser.ts";
import { sendBody } from "./send-body.ts";

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

/** Called when the server in the sandbox has switched protocols, as it was asked to. */
export type OnSwitch = (head: ReplyHead, socket: Socket) => void;

/**
 * Carries a request to the sandbox and its answer back, both streamed. Answers a page when the sandbox does not. With
 * `onSwitch` the request asks for an upgrade.
 */
export function forward(passage: Passage, connections: SandboxConnections, onSwitch?: OnSwitch): void {
  const head = requestHead(passage.request, passage.visitor, { ...passage, upgrade: onSwitch !== undefined });
  if (head !== undefined) new Forwarding(passage, connections, head, onSwitch).start(onSwitch !== undefined);
  else
    answer(passage.response, {
      kind: "bad_request",
      message: "the request target or a header has characters that are not allowed",
    });
}

class Forwarding implements Exchange {
  readonly #passage: Passage;
  readonly #connections: SandboxConnections;
  readonly #requestHead: string;
  readonly #onSwitch: OnSwitch | undefined;
  #connection: SandboxConnection | undefined;
  #answered = false;
  /** called when the server says that it wants the body */
  #continue: () => void = () => undefined;

  constructor(passage: Passage, connections: SandboxConnections, head: string, onSwitch: OnSwitch | undefined) {
    this.#passage = passage;
    this.#connections = connections;
    this.#requestHead = head;
    this.#onSwitch = onSwitch;
    passage.response.once("close", this.#gone);
  }

  start(fresh: boolean): void {
    const { door, response } = this.#passage;
    const kept = fresh ? undefined : this.#connections.kept(door);
    if (kept) {
      this.#begin(kept);
      return;
    }
    this.#connections.open(door).then(
      (connection) => (response.destroyed ? connection.destroy() : this.#begin(connection)),
      (error) => answer(response, pageOf(error, door.port)),
    );
  }

  interim({ status, headers }: ReplyHead): void {
    if (status === 100) this.#continue();
    if (status === 103) earlyHints(this.#passage.response, headers);
  }

  head(head: ReplyHead): void {
    const { request, response, host } = this.#passage;
    response.sendDate = false;
    // The rest of a body that nobody wants would be taken for the next request.
    if (!request.complete || this.#onSwitch) response.shouldKeepAlive = false;
    response.writeHead(head.status, head.reason, responseHeaders(head, host));
    this.#answered = true;
  }

  body(chunk: Buffer): void {
    const socket = this.#connection?.socket as Socket;
    if (this.#passage.response.write(chunk) || socket.isPaused()) return;
    socket.pause();
    this.#passage.response.once("drain", () => socket.resume());
  }

  end(raw: string[]): void {
    const { request, response } = this.#passage;
    const rest = raw.length === 0 ? [] : trailers(raw);
    if (rest.length > 0 && !response.hasHeader("content-length")) response.addTrailers(rest);
    response.end();
    if (!request.complete) linger(request);
  }

  switched(head: ReplyHead, socket: Socket): void {
    this.#passage.response.off("close", this.#gone);
    if (this.#onSwitch) {
      this.#onSwitch(head, socket);
      return;
    }
    socket.destroy();
    answer(this.#passage.response, {
      kind: "connection_lost",
      message: "the server in the sandbox switched protocols without being asked to",
    });
  }

  drain(): void {
    this.#passage.request.resume();
  }

  lost(cause: Error): void {
    const { request, response, door } = this.#passage;
    const used = (this.#connection?.uses ?? 0) > 1;
    this.#connection = undefined;
    // An answer that was broken off must not look like a whole one.
    if (this.#answered) response.destroy();
    else if (response.destroyed) return;
    else if (used && REPEATABLE.test(request.method ?? "") && !hasBody(request)) this.start(true);
    else answer(response, pageOf(cause, door.port));
  }

  #begin(connection: SandboxConnection): void {
    const { request, response } = this.#passage;
    this.#connection = connection;
    connection.begin(this.#requestHead, request.method as string, this);
    if (!hasBody(request)) connection.sent();
    else this.#continue = sendBody(request, response, connection);
  }

  /** The client has left, or has all that it wanted. */
  readonly #gone = () => {
    if (!this.#passage.response.writableFinished) this.#connection?.destroy();
  };
}

const hasBody = ({ headers }: IncomingMessage) =>
  headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;

function linger(request: IncomingMessage): void {
  request.removeAllListeners("data");
  request.resume();
  const timer = setTimeout(() => request.socket.destroy(), LINGER_MS);
  request.socket.once("close", () => clearTimeout(timer));
}

function earlyHints(response: ServerResponse, raw: string[]): void {
  const links = raw.filter((_, i) => i % 2 === 1 && lowerCase(raw[i - 1] as string) === "link");
  try {
    if (links.length > 0 && !response.headersSent) response.writeEarlyHints({ link: links });
  } catch {
    // Hints that are not well-formed are only hints.
  }
}
