import { request as plainRequest } from "node:http";
import { request as tlsRequest } from "node:https";
import type { Socket } from "node:net";
import { text } from "node:stream/consumers";
import { ApiError, type ErrorCode, errors, type SessionOptions } from "@mags/protocol";
import { askFor, takeOver } from "./handover.ts";
import { RemoteSession } from "./session.ts";

const KEEP_ALIVE_MS = 30_000;

/** The ways into the sandboxes of one node, through its agent. All calls throw the agent's ApiError, or unavailable. */
export class AgentClient {
  readonly #address: string;
  readonly #token: string;
  readonly #processSecret: string | undefined;

  /**
   * `address` is the base URL that the agent registered, `token` the node token, `processSecret` what an agent in this very process
   * knows as well.
   */
  constructor(address: string, token: string, processSecret?: string) {
    this.#address = address;
    this.#token = token;
    this.#processSecret = processSecret;
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
    const url = new URL(path, this.#address);
    const secret = protocol === "tcp" ? this.#processSecret : undefined;
    const headers = {
      connection: "Upgrade",
      upgrade: protocol,
      authorization: `Bearer ${this.#token}`,
      ...(secret === undefined ? {} : askFor(secret)),
    };
    const options = { method: "POST", headers, agent: false, signal } as const;
    const request = url.protocol === "https:" ? tlsRequest(url, options) : plainRequest(url, options);
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

function refusal(status: number, body: string): ApiError {
  try {
    const { error } = JSON.parse(body) as { error: { code: string; message: string; field?: string } };
    if (error.code in errors) return new ApiError(error.code as ErrorCode, error.message, error.field);
  } catch {
    // no answer of an agent
  }
  return new ApiError("unavailable", `the node answers with status ${status}`);
}
