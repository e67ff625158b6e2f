import {
  AcceptInvite,
  ApiError,
  ChangePassword,
  ErrorBody,
  PasswordChanged,
  Session,
  SignedOut,
  SignIn,
  SignInOptions,
} from "@mags/protocol";
import type { FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import { acting } from "../db/acting.ts";
import { callerOf, SESSION_COOKIE } from "../http/auth.ts";
import type { App, Context } from "../http/context.ts";
import { refuseUnstorableText } from "../http/validation.ts";
import { SESSION_SECONDS, type SignedIn } from "./service.ts";

/** Who is about to sign in. */
const NOBODY = { kind: "server", name: "nobody" } as const;
const OIDC_COOKIE = "mags_oidc";
const OIDC_PATH = "/api/v1/session/oidc";
/** How long somebody may take at the provider, `s`. */
const OIDC_SECONDS = 600;

const tags = ["session"];
const failures = { "4xx": ErrorBody, "5xx": ErrorBody };
const open = { tags, security: [] as Record<string, string[]>[] };

/** What whoever is signed in does with the own account. */
export function ownRoutes({ sessions }: Context) {
  return async (app: App): Promise<void> => {
    app.put(
      "/session/password",
      {
        config: { scope: "read" },
        schema: {
          tags,
          operationId: "changePassword",
          summary: "Change your password",
          description: "For a member who is signed in. Every other sign-in of the member ends.",
          body: ChangePassword,
          response: { 204: PasswordChanged, ...failures },
        },
      },
      async (request, reply) => {
        const { body, cookies, ip } = request;
        await sessions.changePassword(callerOf(request), cookies[SESSION_COOKIE], body, ip);
        return reply.status(204).send(null);
      },
    );
  };
}

/** Signing in and out. They need no token before, so they stand outside of the guard. */
export function sessionRoutes(context: Context) {
  return async (app: App): Promise<void> => {
    app.addHook("preHandler", (request, _, done) => {
      acting.run({ actor: NOBODY, requestId: request.id, address: request.ip }, done);
    });
    app.addHook("preValidation", async (request) => refuseUnstorableText(request.body));
    signingIn(app, context);
    openId(app, context);
  };
}

function signingIn(app: App, { sessions, oidc, secureCookies }: Context): void {
  app.get(
    "/session/options",
    {
      schema: {
        ...open,
        operationId: "signInOptions",
        summary: "Ways to sign in",
        description: "What there is beside a token.",
        response: { 200: SignInOptions, ...failures },
      },
    },
    async () => ({ password: true, oidc: oidc ? { label: oidc.options.label, start_url: OIDC_PATH } : null }),
  );
  app.post(
    "/session",
    {
      schema: {
        ...open,
        operationId: "signIn",
        summary: "Sign a browser in",
        description:
          "Turns a token, or an e-mail and a password, into a cookie that scripts of a page cannot read. Whoever fails too often waits (429).",
        body: SignIn,
        response: { 200: Session, ...failures },
      },
    },
    async (request, reply) =>
      setCookie(reply, await sessions.signIn(request.body, request.ip), isSecure(request, secureCookies)),
  );
  app.post(
    "/session/invite",
    {
      schema: {
        ...open,
        operationId: "acceptInvite",
        summary: "Accept an invitation",
        description: "Chooses a password, also to replace a lost one, and signs the browser in. Works once.",
        body: AcceptInvite,
        response: { 200: Session, ...failures },
      },
    },
    async (request, reply) =>
      setCookie(reply, await sessions.accept(request.body, request.ip), isSecure(request, secureCookies)),
  );
  app.delete(
    "/session",
    {
      schema: {
        ...open,
        operationId: "signOut",
        summary: "Sign a browser out",
        description: "Ends the session of the cookie; without one it does nothing.",
        response: { 204: SignedOut, ...failures },
      },
    },
    async (request, reply) => {
      const secret = request.cookies[SESSION_COOKIE];
      if (secret) await sessions.signOut(secret);
      reply.clearCookie(SESSION_COOKIE, { path: "/" });
      return reply.status(204).send(null);
    },
  );
}

function openId(app: App, { sessions, oidc, secureCookies, logger }: Context): void {
  const Moved = z.null().describe("Moved");
  app.get(
    "/session/oidc",
    {
      schema: {
        ...open,
        operationId: "startOidc",
        summary: "Sign in with the OpenID provider",
        description: "Leads the browser there.",
        response: { 302: Moved, ...failures },
      },
    },
    async (request, reply) => {
      if (!oidc) throw new ApiError("not_found", "no OpenID provider is set up (MAGS_OIDC_ISSUER)");
      const { location, flow } = await oidc.start();
      // Lax, because the browser comes back from the provider's page.
      const cookie = { path: OIDC_PATH, httpOnly: true, sameSite: "lax", maxAge: OIDC_SECONDS } as const;
      reply.setCookie(OIDC_COOKIE, flow, { ...cookie, secure: isSecure(request, secureCookies) });
      return reply.redirect(location) as never;
    },
  );
  app.get(
    "/session/oidc/callback",
    {
      schema: {
        ...open,
        operationId: "finishOidc",
        summary: "Come back from the OpenID provider",
        description:
          "Signs the browser in and leads it to the dashboard; to the sign-in page with the reason where that fails.",
        response: { 302: Moved, ...failures },
      },
    },
    async (request, reply) => {
      if (!oidc) throw new ApiError("not_found", "no OpenID provider is set up (MAGS_OIDC_ISSUER)");
      reply.clearCookie(OIDC_COOKIE, { path: OIDC_PATH });
      try {
        const person = await oidc.finish(request.url.split("?")[1] ?? "", request.cookies[OIDC_COOKIE]);
        setCookie(reply, await sessions.byPerson(person), isSecure(request, secureCookies));
        return reply.redirect("/") as never;
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        logger.warn({ err: error.message, request_id: request.id }, "a sign-in by OpenID Connect was refused");
        return reply.redirect(`/sign-in?error=${encodeURIComponent(error.message)}`) as never;
      }
    },
  );
}

const isSecure = (request: FastifyRequest, always: boolean) => always || request.protocol === "https";

function setCookie(reply: Pick<FastifyReply, "setCookie">, { secret, session }: SignedIn, secure: boolean) {
  const cookie = { path: "/", httpOnly: true, sameSite: "strict", maxAge: SESSION_SECONDS } as const;
  reply.setCookie(SESSION_COOKIE, secret, { ...cookie, secure });
  return session;
}
