import type { Socket } from "node:net";
import { AgentClient } from "@mags/agent-client";
import { ApiError } from "@mags/protocol";
import type { Door } from "./wake.ts";

/** Reaches into the sandboxes of all nodes. */
export interface Dialer {
  /** A connection to a port of the sandbox's own loopback. Throws ApiError, port_closed where nothing listens. */
  dial(door: Door, port: number): Promise<Socket>;
}

/** Reaches them through the agents. */
export class AgentDialer implements Dialer {
  readonly #token: string;

  constructor(nodeToken: string) {
    this.#token = nodeToken;
  }

  dial(door: Door, port: number): Promise<Socket> {
    return this.of(door).dial(door.job, port);
  }

  of(door: Door): AgentClient {
    return new AgentClient(door.address, this.#token);
  }
}

/** Nothing listens on the port (yet). */
export const isClosed = (error: unknown): boolean => error instanceof ApiError && error.code === "port_closed";

/** The sandbox is not where it was: it was put to sleep, has ended or runs elsewhere. */
export const hasMoved = (error: unknown): boolean =>
  error instanceof ApiError && (error.code === "not_found" || error.code === "unavailable");
