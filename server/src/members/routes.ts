import { AddMember, ErrorBody, Member, MemberDeleted, MemberList, MemberMade, UpdateMember } from "@mags/protocol";
import { z } from "zod";
import { callerOf, orgOf } from "../http/auth.ts";
import type { App, Context } from "../http/context.ts";
import { refuseUnstorableText } from "../http/validation.ts";

const tags = ["access"];
const failures = { "4xx": ErrorBody, "5xx": ErrorBody };
const admin = { config: { scope: "admin" as const } };
const Params = z.object({ id: z.uuid().describe("Id of a member") });

// An invitation is shown once: an answer that is lost is not stored for a repeat, so these take no Idempotency-Key.
export function memberRoutes(context: Context) {
  return async (app: App): Promise<void> => {
    app.addHook("preValidation", async (request) => refuseUnstorableText(request.body));
    making(app, context);
    changing(app, context);
  };
}

function making(app: App, { members }: Context): void {
  app.get(
    "/members",
    {
      schema: {
        tags,
        operationId: "listMembers",
        summary: "List members",
        description: "The people of the organisation, oldest first.",
        response: { 200: MemberList, ...failures },
      },
    },
    (request) => members.list(orgOf(request)),
  );
  app.post(
    "/members",
    {
      ...admin,
      schema: {
        tags,
        operationId: "addMember",
        summary: "Add a member",
        description: "Without a password the answer holds an invitation, a link to hand on; it is shown this once.",
        body: AddMember,
        response: { 201: MemberMade, ...failures },
      },
    },
    async (request, reply) => reply.status(201).send(await members.add(callerOf(request), request.body)),
  );
  app.post(
    "/members/:id/invite",
    {
      ...admin,
      schema: {
        tags,
        operationId: "inviteMember",
        summary: "Make a new invitation",
        description: "Also for a member who has forgotten the password. The link before ends.",
        params: Params,
        response: { 200: MemberMade, ...failures },
      },
    },
    (request) => members.invite(callerOf(request), request.params.id),
  );
}

function changing(app: App, { members }: Context): void {
  app.patch(
    "/members/:id",
    {
      ...admin,
      schema: {
        tags,
        operationId: "updateMember",
        summary: "Change a member",
        description:
          "Name, role, or whether the member is disabled. Who is disabled is out at once on every server, with the member's tokens. Only owners change owners, and one stays.",
        params: Params,
        body: UpdateMember,
        response: { 200: Member, ...failures },
      },
    },
    (request) => members.update(callerOf(request), request.params.id, request.body),
  );
  app.delete(
    "/members/:id",
    {
      ...admin,
      schema: {
        tags,
        operationId: "deleteMember",
        summary: "Delete a member",
        description: "With the member's tokens and sign-ins. What the member has started goes on.",
        params: Params,
        response: { 200: MemberDeleted, ...failures },
      },
    },
    async (request) => {
      await members.remove(callerOf(request), request.params.id);
      return { id: request.params.id, deleted: true as const };
    },
  );
}
