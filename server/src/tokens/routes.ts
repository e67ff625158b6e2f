import {
  CreateOrganisation,
  CreateToken,
  ErrorBody,
  OrganisationList,
  OrganisationMade,
  TokenList,
  TokenMade,
  TokenRevoked,
  Whoami,
} from "@mags/protocol";
import { z } from "zod";
import { callerOf } from "../http/auth.ts";
import type { App, Context } from "../http/context.ts";
import { refuseUnstorableText } from "../http/validation.ts";

const tags = ["access"];
const failures = { "4xx": ErrorBody, "5xx": ErrorBody };
const admin = { config: { scope: "admin" as const } };
const operator = { config: { scope: "operator" as const } };

export function tokenRoutes(context: Context) {
  return async (app: App): Promise<void> => {
    app.addHook("preValidation", async (request) => refuseUnstorableText(request.body));
    ofTokens(app, context);
    ofOrganisations(app, context);
  };
}

// A secret is shown once: an answer that is lost is not stored for a repeat, so these take no Idempotency-Key.
function ofTokens(app: App, { db, tokens }: Context): void {
  app.get(
    "/whoami",
    {
      schema: {
        tags,
        operationId: "whoami",
        summary: "Whom the server takes you for",
        description: "Organisation, name and scopes of the token, or of the one that a browser signed in with.",
        response: { 200: Whoami, ...failures },
      },
    },
    async (request) => {
      const { org, name, scopes, member } = callerOf(request);
      return { organisation: org, token: name, scopes, member };
    },
  );
  app.post(
    "/tokens",
    {
      ...admin,
      schema: {
        tags,
        operationId: "createToken",
        summary: "Make a token",
        description: "Its secret is in this answer and nowhere else. A token gives no more than it may do itself.",
        body: CreateToken,
        response: { 201: TokenMade, ...failures },
      },
    },
    async (request, reply) => reply.status(201).send(await tokens.create(db, callerOf(request), request.body)),
  );
  app.get(
    "/tokens",
    {
      ...admin,
      schema: {
        tags,
        operationId: "listTokens",
        summary: "List tokens",
        description: "Of the organisation, oldest first.",
        response: { 200: TokenList, ...failures },
      },
    },
    (request) => tokens.list(callerOf(request).org),
  );
  app.delete(
    "/tokens/:id",
    {
      ...admin,
      schema: {
        tags,
        operationId: "revokeToken",
        summary: "Revoke a token",
        description: "At once, on every server, with the browsers that signed in with it. Jobs that it started go on.",
        params: z.object({ id: z.uuid().describe("Id of a token") }),
        response: { 200: TokenRevoked, ...failures },
      },
    },
    async (request) => {
      const { id } = request.params;
      await tokens.revoke(callerOf(request).org, id);
      return { id, revoked: true as const };
    },
  );
}

function ofOrganisations(app: App, { db, tokens }: Context): void {
  app.post(
    "/organisations",
    {
      ...operator,
      schema: {
        tags,
        operationId: "createOrganisation",
        summary: "Make an organisation",
        description: "For who runs the server. Answers a token with the scope admin, which can make others.",
        body: CreateOrganisation,
        response: { 201: OrganisationMade, ...failures },
      },
    },
    async (request, reply) => {
      const made = await db.transaction((tx) => tokens.createOrganisation(tx, request.body.id, callerOf(request)));
      return reply.status(201).send(made);
    },
  );
  app.get(
    "/organisations",
    {
      ...operator,
      schema: {
        tags,
        operationId: "listOrganisations",
        summary: "List organisations",
        description: "For who runs the server.",
        response: { 200: OrganisationList, ...failures },
      },
    },
    () => tokens.organisations(),
  );
}
