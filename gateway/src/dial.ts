import type { Socket } from "node:net";
import { type AgentClient, Agents, type Pass, type RemoteSession } from "@mags/agent-client";
import { ApiError, type SessionOptions } from "@mags/protocol";
import type { Door } from "./wake.ts";

/** Reaches into the sandboxes of all nodes. */
export interface Dialer {
  /** A connection to a port of the sandbox's own loopback. Throws ApiError, port_closed where nothing listens. */
  dial(door: Door, port: number): Promise<Socket>;
  /** Starts a command in the sandbox. Throws ApiError. */
  session(door: Door, options: SessionOptions): Promise<RemoteSession>;
}

/** Reaches them through the agents. */
export class AgentDialer implements Dialer {
  readonly #agents: Agents;

  constructor(pass: Pass) {
    this.#agents = new Agents(pass);
  }

  dial(door: Door, port: number): Promise<Socket> {
    return this.#agent(door).dial(door.job, port);
  }

  session(door: Door, options: SessionOptions): Promise<RemoteSession> {
    return this.#agent(door).open(door.job, options);
  }

  #agent({ node, address }: Door): AgentClient {
    return this.#agents.at({ name: node, address });
  }
}

/** Nothing listens on the port (yet). */
export const isClosed = (error: unknown): boolean => error instanceof ApiError && error.code === "port_closed";
