import { timingSafeEqual } from "node:crypto";
import { ApiError } from "@mags/protocol";
import type { FastifyRequest } from "fastify";
import { type Caller, hashToken, type Tokens } from "../tokens/service.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** set on every route that asks for an API token */
    caller: Caller | undefined;
  }
}

/** Guards the public API. Throws ApiError unauthorized before the body is read. */
export function requireToken(tokens: Tokens) {
  return async (request: FastifyRequest): Promise<void> => {
    const caller = await tokens.authenticate(bearer(request));
    if (!caller) throw new ApiError("unauthorized", "the token is not known to this server");
    request.caller = caller;
  };
}

/** The caller's organisation, on routes behind `requireToken`. */
export function orgOf(request: FastifyRequest): string {
  if (!request.caller) throw new ApiError("unauthorized", "the request was not authenticated");
  return request.caller.org;
}

/** Guards what agents call. Throws ApiError unauthorized. */
export function requireNodeToken(nodeToken: string) {
  const expected = Buffer.from(hashToken(nodeToken));
  return async (request: FastifyRequest): Promise<void> => {
    if (!timingSafeEqual(Buffer.from(hashToken(bearer(request))), expected))
      throw new ApiError("unauthorized", "the node token is wrong");
  };
}

function bearer(request: FastifyRequest): string {
  const header = request.headers.authorization;
  if (!header) throw new ApiError("unauthorized", "the request has no Authorization header");
  const token = /^Bearer +(\S+) *$/i.exec(header)?.[1];
  if (!token) throw new ApiError("unauthorized", "the Authorization header is not of the form: Bearer <token>");
  return token;
}
