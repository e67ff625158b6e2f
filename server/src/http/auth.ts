import { ApiError, allows, type TokenScope } from "@mags/protocol";
import type { FastifyRequest } from "fastify";
import type { Sessions } from "../sessions/service.ts";
import type { Caller, Tokens } from "../tokens/service.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** set on every route that asks for an API token */
    caller: Caller | undefined;
  }
  interface FastifyContextConfig {
    /** what a token must be allowed to do; by default what the method tells */
    scope?: TokenScope;
  }
}

export const SESSION_COOKIE = "mags_session";

/** Guards the public API: a token, or the cookie of a browser that has signed in. Throws ApiError unauthorized before the body is read. */
export function requireToken(tokens: Tokens, sessions: Sessions) {
  return async (request: FastifyRequest): Promise<void> => {
    request.headers.authorization ??= offeredToken(request);
    const secret = request.headers.authorization ? undefined : request.cookies[SESSION_COOKIE];
    if (secret !== undefined) refuseForeignPage(request);
    const caller =
      secret === undefined ? await tokens.authenticate(bearer(request)) : await sessions.authenticate(secret);
    if (!caller)
      throw new ApiError(
        "unauthorized",
        secret === undefined ? "the token is not known to this server" : "the sign-in has ended: sign in again",
      );
    request.caller = caller;
    const wait = tokens.admit(caller);
    if (wait > 0) {
      const message = `this token has made too many requests: wait ${wait} s`;
      throw new ApiError("rate_limited", message, undefined, { retryAfter: wait });
    }
    const needed = scopeOf(request);
    if (!allows(caller.scopes, needed))
      throw new ApiError(
        "forbidden",
        `this needs a token with the scope ${needed}; it has ${caller.scopes.join(", ")}`,
      );
  };
}

/** Reading needs the least; whoever comes into a machine, or changes anything, needs more. */
function scopeOf({ method, headers, routeOptions }: FastifyRequest): TokenScope {
  const reads = (method === "GET" || method === "HEAD") && headers.upgrade === undefined;
  return routeOptions.config.scope ?? (reads ? "read" : "run");
}

/** A WebSocket of a browser or of Node sets no headers, but may offer subprotocols: one of them may be `bearer.<token>`. */
function offeredToken({ headers }: FastifyRequest): string | undefined {
  const token = /(?:^|,) *bearer\.([^\s,]+)/.exec(headers["sec-websocket-protocol"] ?? "")?.[1];
  return token === undefined ? undefined : `Bearer ${token}`;
}

/** A browser adds the cookie to requests that another site's page makes, too; with these it says which page that is. */
function refuseForeignPage(request: FastifyRequest): void {
  const reads = request.method === "GET" || request.method === "HEAD";
  if (reads && request.headers.upgrade === undefined) return;
  const { origin, host } = request.headers;
  if (origin !== undefined && URL.parse(origin)?.host === host) return;
  throw new ApiError("unauthorized", "a request with a session's cookie must come from a page of this server");
}

/** Who asks, on routes behind `requireToken`. */
export function callerOf(request: FastifyRequest): Caller {
  if (!request.caller) throw new ApiError("unauthorized", "the request was not authenticated");
  return request.caller;
}

export const orgOf = (request: FastifyRequest): string => callerOf(request).org;

/** The token of the request. Throws ApiError unauthorized. */
export function bearer(request: FastifyRequest): string {
  const header = request.headers.authorization;
  if (!header) throw new ApiError("unauthorized", "the request has no Authorization header");
  const token = /^Bearer +(\S+) *$/i.exec(header)?.[1];
  if (!token) throw new ApiError("unauthorized", "the Authorization header is not of the form: Bearer <token>");
  return token;
}
