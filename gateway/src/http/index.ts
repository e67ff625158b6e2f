import { createServer, type IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Logger } from "@mags/kit";
import { Attempts } from "../attempts.ts";
import type { Dialer } from "../dial.ts";
import type { Wake } from "../wake.ts";
import { checkRequest } from "./check.ts";
import { SandboxConnections } from "./connections.ts";
import { forward, type Passage } from "./forward.ts";
import { Guards } from "./guard.ts";
import { answer, pageOf } from "./pages.ts";
import { tunnel } from "./tunnel.ts";
import { Visitors } from "./visitors.ts";

/** Largest head of a request, `bytes` */
const HEAD_BYTES = 32 * 1024;
/** How long a client may take to send the head of a request, from the connection's first moment, `ms` */
const HEAD_MS = 10_000;
const IDLE_MS = 60_000;
/** A connection on which a client neither sends the body it owes nor reads what is ready for it ends after this, `ms` */
const STALL_MS = 120_000;
const CONNECTIONS = 10_000;
const CONNECTIONS_PER_CLIENT = 256;
const WRONG_SECRETS_A_MINUTE = 20;
/** Notices peers that vanished without a word, `ms` */
const KEEP_ALIVE_MS = 15_000;

export interface IngressOptions {
  listen: { host: string; port: number };
  wake: Wake;
  dialer: Dialer;
  /** addresses and networks whose X-Forwarded-… headers are believed */
  trustedProxies: readonly string[];
  logger: Logger;
}

/** HTTP from outside into sandboxes. Throws Error when the address is taken. */
export async function startIngress(options: IngressOptions): Promise<{ port: number; close(): Promise<void> }> {
  const ingress = new Ingress(options);
  const server = createServer({
    maxHeaderSize: HEAD_BYTES,
    headersTimeout: HEAD_MS,
    // Bodies may take any time as long as they move.
    requestTimeout: 0,
    keepAliveTimeout: IDLE_MS,
    connectionsCheckingInterval: 1000,
    keepAlive: true,
    keepAliveInitialDelay: KEEP_ALIVE_MS,
    noDelay: true,
  });
  // Headers are limited by size; by number they would be dropped silently.
  server.maxHeadersCount = 0;
  server.maxConnections = CONNECTIONS;
  server.timeout = STALL_MS;
  // A client that has said all it had to say still gets its answer.
  (server as unknown as { httpAllowHalfOpen: boolean }).httpAllowHalfOpen = true;
  server.on("connection", (socket: Socket) => ingress.visitors.admit(socket) || socket.destroy());
  // A visitor's request that we fail at ends alone.
  const end = (socket: Duplex) => (err: unknown) => {
    options.logger.error({ err }, "a request to a sandbox could not be served");
    socket.destroy();
  };
  const serve = (request: IncomingMessage, response: ServerResponse) =>
    ingress.serve(request, response).catch(end(request.socket));
  server.on("request", serve);
  server.on("checkContinue", serve);
  server.on("upgrade", (request, socket, head) => ingress.upgrade(request, socket, head).catch(end(socket)));
  server.on("connect", (_request, socket) => socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"));
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.listen.port, options.listen.host, resolve);
  });
  const close = async () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeAllConnections();
    ingress.close();
    await closed;
  };
  return { port: (server.address() as AddressInfo).port, close };
}

class Ingress {
  readonly visitors: Visitors;
  readonly #wake: Wake;
  readonly #logger: Logger;
  readonly #guards = new Guards();
  readonly #wrongSecrets = new Attempts(WRONG_SECRETS_A_MINUTE);
  readonly #connections: SandboxConnections;
  readonly #tunnels = new Set<Duplex>();

  constructor({ wake, dialer, trustedProxies, logger }: IngressOptions) {
    this.visitors = new Visitors(trustedProxies, CONNECTIONS_PER_CLIENT);
    this.#wake = wake;
    this.#logger = logger;
    this.#connections = new SandboxConnections(wake, dialer);
  }

  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on("timeout", () => endIfStalled(request, response));
    const passage = await this.#admit(request, response);
    if (passage) forward(passage, this.#connections);
  }

  async upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on("error", () => undefined);
    this.#tunnels.add(socket);
    socket.once("close", () => this.#tunnels.delete(socket));
    const response = new ServerResponse(request);
    response.shouldKeepAlive = false;
    response.assignSocket(socket as Socket);
    response.once("finish", () => socket.end());
    if (request.headers["transfer-encoding"] !== undefined || Number(request.headers["content-length"] ?? 0) > 0) {
      answer(response, { kind: "bad_request", message: "a request with Upgrade must not have a body" });
      return;
    }
    const passage = await this.#admit(request, response);
    if (passage) tunnel(passage, socket, head, this.#connections);
  }

  close(): void {
    for (const socket of this.#tunnels) socket.destroy();
    this.#connections.close();
  }

  /** Finds the sandbox that a request is for and judges its visitor; undefined when the request has been answered. */
  async #admit(request: IncomingMessage, response: ServerResponse): Promise<Passage | undefined> {
    const checked = checkRequest(request);
    if ("wrong" in checked) return refuse(response, { kind: "bad_request", message: checked.wrong });
    const { host } = checked;
    const visitor = this.visitors.of(request);
    try {
      const door = await this.#wake.open({ by: "host", host });
      const wait = door.guard.access === "public" ? 0 : this.#wrongSecrets.waitFor(visitor.address);
      if (wait > 0) return refuse(response, tooManyAttempts(wait));
      const admission = await this.#guards.admit(door.guard, request, visitor);
      if (response.destroyed) return undefined;
      if (admission.action === "enter") return { request, response, door, host, visitor, ...admission };
      if (admission.action === "redirect") {
        response.writeHead(303, {
          Location: admission.location,
          "Set-Cookie": admission.cookie,
          "Cache-Control": "no-store",
        });
        response.end();
        return undefined;
      }
      if (admission.tried) this.#wrongSecrets.fail(visitor.address);
      return refuse(response, SECRET_PAGES[admission.asksFor]);
    } catch (error) {
      if (!(error instanceof Error) || error.name !== "NoDoor")
        this.#logger.error({ err: error }, "a request to a sandbox failed");
      return refuse(response, pageOf(error));
    }
  }
}

function refuse(response: ServerResponse, page: Parameters<typeof answer>[1]): undefined {
  answer(response, page);
}

const tooManyAttempts = (seconds: number) => ({
  kind: "too_many_attempts" as const,
  message: "too many wrong tokens or passwords from this address",
  headers: { "Retry-After": String(seconds) },
});

const SECRET_PAGES = {
  token: { kind: "token_required", message: "this address asks for a token: open it with ?mags_token=… once" },
  password: {
    kind: "password_required",
    message: "this address asks for a user name and a password",
    headers: { "WWW-Authenticate": 'Basic realm="Mags", charset="UTF-8"' },
  },
} as const;

/** A long silence is fine while the sandbox is the one to speak; it is not while the client owes bytes or leaves them lying. */
function endIfStalled(request: IncomingMessage, response: ServerResponse): void {
  const { socket } = request;
  const unread = socket.writableLength > 0 || response.writableLength > 0;
  const owesBody = !request.complete && request.readableLength === 0 && !request.isPaused();
  if (unread || owesBody) socket.destroy();
  else socket.setTimeout(STALL_MS);
}
