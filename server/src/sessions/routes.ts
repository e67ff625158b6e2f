import { ErrorBody, Session, SignedOut, SignIn } from "@mags/protocol";
import { SESSION_COOKIE } from "../http/auth.ts";
import type { App, Context } from "../http/context.ts";
import { SESSION_SECONDS } from "./service.ts";

const failures = { "4xx": ErrorBody, "5xx": ErrorBody };

/** Signing in and out. They need no token before, so they stand outside of the guard. */
export function sessionRoutes({ sessions }: Context) {
  return async (app: App): Promise<void> => {
    app.post(
      "/session",
      {
        schema: {
          tags: ["session"],
          operationId: "signIn",
          summary: "Sign a browser in",
          description: "Turns a token into a cookie that scripts of a page cannot read.",
          security: [],
          body: SignIn,
          response: { 200: Session, ...failures },
        },
      },
      async (request, reply) => {
        const { secret, caller } = await sessions.signIn(request.body.token, request.ip);
        reply.setCookie(SESSION_COOKIE, secret, {
          path: "/",
          httpOnly: true,
          sameSite: "strict",
          secure: request.protocol === "https",
          maxAge: SESSION_SECONDS,
        });
        return { name: caller.name, organisation: caller.org };
      },
    );
    app.delete(
      "/session",
      {
        schema: {
          tags: ["session"],
          operationId: "signOut",
          summary: "Sign a browser out",
          description: "Ends the session of the cookie; without one it does nothing.",
          security: [],
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
  };
}
