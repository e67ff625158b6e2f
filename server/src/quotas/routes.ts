import { ErrorBody, OrganisationQuota, UpdateQuota } from "@mags/protocol";
import { z } from "zod";
import { orgOf } from "../http/auth.ts";
import type { App, Context } from "../http/context.ts";

const tags = ["access"];
const failures = { "4xx": ErrorBody, "5xx": ErrorBody };
const operator = { config: { scope: "operator" as const } };
const Params = z.object({ id: z.string().describe("Id of an organisation") });

export function quotaRoutes({ quotas }: Context) {
  return async (app: App): Promise<void> => {
    app.get(
      "/quota",
      {
        schema: {
          tags,
          operationId: "getQuota",
          summary: "Show what the organisation may have, and has",
          description: "null is no limit.",
          response: { 200: OrganisationQuota, ...failures },
        },
      },
      (request) => quotas.show(orgOf(request)),
    );
    app.get(
      "/organisations/:id/quota",
      {
        ...operator,
        schema: {
          tags,
          operationId: "getQuotaOf",
          summary: "Show an organisation's quota",
          description: "For who runs the server.",
          params: Params,
          response: { 200: OrganisationQuota, ...failures },
        },
      },
      (request) => quotas.show(request.params.id),
    );
    app.patch(
      "/organisations/:id/quota",
      {
        ...operator,
        schema: {
          tags,
          operationId: "updateQuota",
          summary: "Set an organisation's quota",
          description:
            "For who runs the server. null takes a limit back to the server's default, 0 allows none. What is up stays up.",
          params: Params,
          body: UpdateQuota,
          response: { 200: OrganisationQuota, ...failures },
        },
      },
      (request) => quotas.update(request.params.id, request.body),
    );
  };
}
