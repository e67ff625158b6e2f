import { ErrorBody, Secret, SecretDeleted, SecretList, SecretName, SetSecret } from "@mags/protocol";
import { z } from "zod";
import { orgOf } from "../http/auth.ts";
import type { App, Context } from "../http/context.ts";
import { refuseUnstorableText } from "../http/validation.ts";

const tags = ["secrets"];
const failures = { "4xx": ErrorBody, "5xx": ErrorBody };
const admin = { config: { scope: "admin" as const } };
const Params = z.object({ name: SecretName });

export function secretRoutes({ secrets }: Context) {
  return async (app: App): Promise<void> => {
    app.addHook("preValidation", async (request) => refuseUnstorableText(request.body));
    app.get(
      "/secrets",
      {
        schema: {
          tags,
          operationId: "listSecrets",
          summary: "List secrets",
          description: "Names and versions. Nothing reads a value back but the machine of a job that names it.",
          response: { 200: SecretList, ...failures },
        },
      },
      (request) => secrets.list(orgOf(request)),
    );
    app.put(
      "/secrets/:name",
      {
        ...admin,
        schema: {
          tags,
          operationId: "setSecret",
          summary: "Set a secret",
          description:
            "Makes a new version; the newest ten are kept. Jobs that wait or run keep the one that they were made with.",
          params: Params,
          body: SetSecret,
          response: { 200: Secret, ...failures },
        },
      },
      (request) => secrets.set(orgOf(request), request.params.name, request.body.value),
    );
    app.delete(
      "/secrets/:name",
      {
        ...admin,
        schema: {
          tags,
          operationId: "deleteSecret",
          summary: "Delete a secret",
          description: "With all versions. A job that is to be given one later ends with an error.",
          params: Params,
          response: { 200: SecretDeleted, ...failures },
        },
      },
      async (request) => {
        await secrets.remove(orgOf(request), request.params.name);
        return { name: request.params.name, deleted: true as const };
      },
    );
  };
}
