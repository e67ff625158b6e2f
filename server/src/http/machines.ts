import type { Socket } from "node:net";
import { ApiError, type MachineRole } from "@mags/protocol";
import type { FastifyRequest } from "fastify";
import type { Cluster, Machine } from "../cluster/service.ts";
import { bearer } from "./auth.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** set on every route that a node or gateway calls */
    machine: Machine | undefined;
  }
}

/**
 * Guards what agents and gateways call. Throws ApiError unauthorized, also for whoever calls from another machine without TLS, and
 * forbidden for a machine that did not join as this.
 */
export function requireMachine(cluster: Cluster, role: MachineRole) {
  return async (request: FastifyRequest): Promise<void> => {
    const encrypted = "encrypted" in request.raw.socket;
    if (!encrypted && !isLocal(request.raw.socket))
      throw new ApiError(
        "unauthorized",
        "from another machine this is reached over TLS only, at the cluster's address",
      );
    const machine = await cluster.identify(bearer(request), encrypted ? "over TLS" : "this machine");
    if (!machine) throw new ApiError("unauthorized", "the node token is wrong, or the machine was removed");
    if (!machine.roles.includes(role)) throw new ApiError("forbidden", `this machine did not join as ${role}`);
    request.machine = machine;
  };
}

/** A machine speaks for its own node only. Throws ApiError forbidden. */
export async function speaksForItself({ machine, body }: FastifyRequest): Promise<void> {
  const { node } = (body ?? {}) as { node?: unknown };
  if (machine?.node !== undefined && node !== undefined && node !== machine.node)
    throw new ApiError("forbidden", `the machine ${machine.node} may not speak for ${node}`, "node");
}

/** Whoever calls a machine's address from that address is on it. */
const isLocal = ({ remoteAddress = "", localAddress }: Socket) =>
  remoteAddress === localAddress || /^(::ffff:)?127\.|^::1$/.test(remoteAddress);
