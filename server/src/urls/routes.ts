import {
  CreateUrlAlias,
  ErrorBody,
  OpenDoor,
  SSH_PORT,
  SshOpened,
  UrlAlias,
  UrlAliasList,
  UrlOpened,
} from "@mags/protocol";
import { z } from "zod";
import { orgOf } from "../http/auth.ts";
import type { App, Context } from "../http/context.ts";
import { refuseUnstorableText } from "../http/validation.ts";

const tags = ["access"];
const failures = { "4xx": ErrorBody, "5xx": ErrorBody };

const JobParams = z.object({ id: z.string().describe("Id of a job, or the name or workspace of a live one") });

export function urlRoutes({ urls, sshKeys }: Context) {
  return async (app: App): Promise<void> => {
    app.addHook("preValidation", async (request) => refuseUnstorableText(request.body));
    app.post(
      "/mags-jobs/:id/access",
      {
        schema: {
          tags,
          operationId: "openAccess",
          summary: "Reach a job from outside",
          description:
            "Port 22 makes an SSH key for the job; any other port gives the URL that leads to it. Asking again gives the same URL, and a key of its own.",
          params: JobParams,
          body: OpenDoor,
          response: { 200: z.union([SshOpened, UrlOpened]), ...failures },
        },
      },
      (request) => {
        const { body, params } = request;
        if (body.port === SSH_PORT) return sshKeys.open(orgOf(request), params.id, body.expires_in);
        return urls.open(orgOf(request), params.id, body);
      },
    );
    aliasRoutes(app, { urls });
  };
}

function aliasRoutes(app: App, { urls }: Pick<Context, "urls">): void {
  app.post(
    "/mags-url-aliases",
    {
      schema: {
        tags,
        operationId: "createUrlAlias",
        summary: "Name a URL",
        description:
          "A stable host name that follows a workspace to whatever job has it. Repeated for the same workspace it changes port and access.",
        body: CreateUrlAlias,
        response: { 201: UrlAlias, ...failures },
      },
    },
    async (request, reply) => reply.status(201).send(await urls.createAlias(orgOf(request), request.body)),
  );
  app.get(
    "/mags-url-aliases",
    {
      schema: {
        tags,
        operationId: "listUrlAliases",
        summary: "List URL aliases",
        response: { 200: UrlAliasList, ...failures },
      },
    },
    (request) => urls.aliases(orgOf(request)),
  );
  app.delete(
    "/mags-url-aliases/:subdomain",
    {
      schema: {
        tags,
        operationId: "deleteUrlAlias",
        summary: "Delete a URL alias",
        params: z.object({ subdomain: z.string() }),
        response: { 204: z.null().describe("Deleted"), ...failures },
      },
    },
    async (request, reply) => {
      await urls.deleteAlias(orgOf(request), request.params.subdomain);
      return reply.status(204).send(null);
    },
  );
}
