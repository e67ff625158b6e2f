import { ApproveLogin, ErrorBody, ExchangeLogin, LoginApproved, LoginExchanged } from "@mags/protocol";
import { callerOf } from "../http/auth.ts";
import type { App, Context } from "../http/context.ts";
import { refuseUnstorableText } from "../http/validation.ts";

const failures = { "4xx": ErrorBody, "5xx": ErrorBody };

/** Approving needs somebody who is signed in. */
export function approveLoginRoute({ logins }: Context) {
  return async (app: App): Promise<void> => {
    app.addHook("preValidation", async (request) => refuseUnstorableText(request.body));
    app.post(
      "/logins",
      {
        // Whoever may only read may let a program read.
        config: { scope: "read" },
        schema: {
          tags: ["session"],
          operationId: "approveLogin",
          summary: "Let a program in",
          description: "Answers a code with which the program gets a token of its own, once and soon.",
          body: ApproveLogin,
          response: { 201: LoginApproved, ...failures },
        },
      },
      async (request, reply) => reply.status(201).send(await logins.approve(callerOf(request), request.body)),
    );
  };
}

/** The program has no token yet: the code and its secret speak for it. */
export function exchangeLoginRoute({ logins }: Context) {
  return async (app: App): Promise<void> => {
    app.post(
      "/logins/exchange",
      {
        schema: {
          tags: ["session"],
          operationId: "exchangeLogin",
          summary: "Take an approved login up",
          description: "Turns the code and the secret behind its challenge into a token. A second try is refused.",
          security: [],
          body: ExchangeLogin,
          response: { 201: LoginExchanged, ...failures },
        },
      },
      async (request, reply) => reply.status(201).send(await logins.exchange(request.body)),
    );
  };
}
