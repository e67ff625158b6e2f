import { AddSshKey, ErrorBody, SshKey, SshKeyList } from "@mags/protocol";
import { z } from "zod";
import { orgOf } from "../http/auth.ts";
import type { App, Context } from "../http/context.ts";
import { refuseUnstorableText } from "../http/validation.ts";

const tags = ["access"];
const failures = { "4xx": ErrorBody, "5xx": ErrorBody };

export function sshRoutes({ sshKeys }: Context) {
  return async (app: App): Promise<void> => {
    app.addHook("preValidation", async (request) => refuseUnstorableText(request.body));
    app.post(
      "/mags-ssh-keys",
      {
        schema: {
          tags,
          operationId: "addSshKey",
          summary: "Register an SSH key of your own",
          description: "It logs in to every live job of the organisation; the user name is the job's id or name.",
          body: AddSshKey,
          response: { 201: SshKey, ...failures },
        },
      },
      async (request, reply) => reply.status(201).send(await sshKeys.add(orgOf(request), request.body)),
    );
    app.get(
      "/mags-ssh-keys",
      {
        schema: {
          tags,
          operationId: "listSshKeys",
          summary: "List your SSH keys",
          description: "Keys that were registered; those made for single jobs are not listed.",
          response: { 200: SshKeyList, ...failures },
        },
      },
      (request) => sshKeys.list(orgOf(request)),
    );
    app.delete(
      "/mags-ssh-keys/:id",
      {
        schema: {
          tags,
          operationId: "deleteSshKey",
          summary: "Delete an SSH key",
          description: "New logins with it are refused at once; connections that are open stay.",
          params: z.object({ id: z.string() }),
          response: { 204: z.null().describe("Deleted"), ...failures },
        },
      },
      async (request, reply) => {
        await sshKeys.delete(orgOf(request), request.params.id);
        return reply.status(204).send(null);
      },
    );
  };
}
