import { ApiError, type NodeAudit, RemoveTrace } from "@mags/protocol";
import type { FastifyInstance } from "fastify";
import type { Workspaces } from "../workspaces/index.ts";
import type { Audit } from "./audit.ts";

/** What the server asks for when ledger and machines are compared. */
export function auditRoutes(app: FastifyInstance, audit: () => Audit | undefined, workspaces: Workspaces): void {
  const ready = () => {
    const found = audit();
    if (!found) throw new ApiError("unavailable", "the node is not up yet");
    return found;
  };
  app.get("/agent/v1/audit", (): Promise<NodeAudit> => ready().look());
  app.post("/agent/v1/audit/remove", async ({ body }) => {
    const wanted = RemoveTrace.safeParse(body);
    if (!wanted.success) throw new ApiError("invalid_request", "the body must name the kind and name of a trace");
    await ready().remove(wanted.data);
    return {};
  });
  app.post("/agent/v1/audit/copies", async () => {
    await workspaces.reportAll();
    return {};
  });
}
