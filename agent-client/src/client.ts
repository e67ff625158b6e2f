import { request as plainRequest } from "node:http";
import { request as tlsRequest } from "node:https";
import type { Socket } from "node:net";
import { text } from "node:stream/consumers";
import { type Credentials, type Fetch, fetchFrom, tlsTo } from "@mags/kit";
import { ApiError, type ErrorCode, errors, nodeMember, type SessionOptions } from "@mags/protocol";
import { askFor, takeOver } from "./handover.ts";
import { RemoteSession } from "./session.ts";

const KEEP_ALIVE_MS = 30_000;
/** A machine that is gone does not refuse a connection: it says nothing, `ms`. */
const CONNECT_MS = 3000;

/** What agents are shown: the node token by those on the same machine, certificates by those on others. */
export interface Pass {
  token: string;
  credentials?: Credentials | undefined;
  /** what an agent in this very process knows as well */
  processSecret?: string | undefined;
}

/** A node's name, and the base URL that its agent registered. */
export interface AgentAddress {
  name: string;
  address: string;
}

/** The agents of all nodes. */
export class Agents {
  readonly #pass: Pass;
  readonly #fetches = new Map<string, Fetch>();

  constructor(pass: Pass) {
    this.#pass = pass;
  }

  at(node: AgentAddress): AgentClient {
    return new AgentClient(node, this.#pass);
  }

  /** Calls an agent. Throws ApiError unavailable where this process must not, TypeError when it cannot be reached. */
  fetch({ name, address }: AgentAddress, path: string, init: RequestInit = {}): Promise<Response> {
    const url = new URL(path, address);
    const headers = { ...init.headers, ...authorization(url, this.#pass) };
    return this.#fetchFrom(name, url)(url, { ...init, headers });
  }

  #fetchFrom(name: string, url: URL): Fetch {
    if (url.protocol !== "https:") return fetch;
    const known = this.#fetches.get(name) ?? fetchFrom(shown(this.#pass), nodeMember(name));
    this.#fetches.set(name, known);
    return known;
  }
}

/** The ways into the sandboxes of one node, through its agent. All calls throw the agent's ApiError, or unavailable. */
export class AgentClient {
  readonly #node: AgentAddress;
  readonly #pass: Pass;

  constructor(node: AgentAddress, pass: Pass) {
    this.#node = node;
    this.#pass = pass;
  }

  /** Connects to a TCP port inside the job's sandbox; the connection may be half-closed. Throws port_closed when nothing listens. */
  dial(jobId: string, port: number, signal?: AbortSignal): Promise<Socket> {
    return this.#upgrade(`/agent/v1/jobs/${jobId}/dial/${port}`, "tcp", signal);
  }

  /** Starts a command in the job's sandbox. What cannot be started is told by the session's exit. */
  async open(jobId: string, session: SessionOptions, signal?: AbortSignal): Promise<RemoteSession> {
    return new RemoteSession(await this.session(jobId, signal), session);
  }

  /** The connection of a session as it is, for a caller who speaks its frames. */
  session(jobId: string, signal?: AbortSignal): Promise<Socket> {
    return this.#upgrade(`/agent/v1/jobs/${jobId}/session`, "session", signal);
  }

  #upgrade(path: string, protocol: string, signal: AbortSignal | undefined): Promise<Socket> {
    const url = new URL(path, this.#node.address);
    const secret = protocol === "tcp" && url.protocol === "http:" ? this.#pass.processSecret : undefined;
    const headers = {
      connection: "Upgrade",
      upgrade: protocol,
      ...authorization(url, this.#pass),
      ...(secret === undefined ? {} : askFor(secret)),
    };
    const options = { method: "POST", headers, agent: false, signal } as const;
    const request =
      url.protocol === "https:"
        ? tlsRequest(url, { ...options, ...tlsTo(shown(this.#pass), nodeMember(this.#node.name)) })
        : plainRequest(url, options);
    request.once("socket", (socket) => endUnlessConnected(socket));
    return new Promise((resolve, reject) => {
      request.once("upgrade", (response, socket: Socket, head) => {
        // The caller's signal is for connecting; from here on the connection is theirs.
        socket.on("error", () => undefined);
        socket.setKeepAlive(true, KEEP_ALIVE_MS);
        const inside = secret === undefined ? undefined : takeOver(response, socket, secret);
        if (inside) return resolve(inside);
        if (head.length > 0) socket.unshift(head);
        resolve(socket);
      });
      request.once("response", (response) =>
        text(response).then((body) => reject(refusal(response.statusCode ?? 0, body)), reject),
      );
      request.once("error", (cause) =>
        reject(signal?.aborted ? cause : new ApiError("unavailable", `the node cannot be reached: ${cause.message}`)),
      );
      request.end();
    });
  }
}

function endUnlessConnected(socket: Socket): void {
  const timer = setTimeout(() => socket.destroy(new Error(`no connection within ${CONNECT_MS} ms`)), CONNECT_MS);
  for (const event of ["encrypted" in socket ? "secureConnect" : "connect", "close"])
    socket.once(event, () => clearTimeout(timer));
}

/** On other machines nobody learns the token: there the certificate speaks. */
function authorization({ protocol, hostname }: URL, { token }: Pass): Record<string, string> {
  if (protocol === "https:") return {};
  if (/^(127\.|localhost$|\[::1\]$)/.test(hostname)) return { authorization: `Bearer ${token}` };
  throw new ApiError("unavailable", `the agent at ${hostname} has no TLS, and is not on this machine`);
}

function shown({ credentials }: Pass): Credentials {
  if (credentials) return credentials;
  throw new ApiError("unavailable", "the node is on another machine, and this process is no member of its cluster");
}

function refusal(status: number, body: string): ApiError {
  try {
    const { error } = JSON.parse(body) as { error: { code: string; message: string; field?: string } };
    if (error.code in errors) return new ApiError(error.code as ErrorCode, error.message, error.field);
  } catch {
    // no answer of an agent
  }
  return new ApiError("unavailable", `the node answers with status ${status}`);
}
