import { Readable } from "node:stream";
import { AuditExportQuery, AuditList, AuditQuery, ErrorBody } from "@mags/protocol";
import { z } from "zod";
import { orgOf } from "../http/auth.ts";
import type { App, Context } from "../http/context.ts";

const tags = ["audit"];
const failures = { "4xx": ErrorBody, "5xx": ErrorBody };

export function auditRoutes({ audit }: Context) {
  return async (app: App): Promise<void> => {
    app.get(
      "/audit",
      {
        config: { scope: "admin" },
        schema: {
          tags,
          operationId: "listAudit",
          summary: "Show who did what",
          description:
            "Newest first. Keep `head` elsewhere: with it a later export proves that nothing was taken off its end.",
          querystring: AuditQuery,
          response: { 200: AuditList, ...failures },
        },
      },
      (request) => {
        const { before_seq: before, limit, ...filter } = request.query;
        return audit.list(orgOf(request), { before, ...filter }, limit);
      },
    );
    app.get(
      "/audit/export",
      {
        config: { scope: "admin", audit: true },
        schema: {
          tags,
          operationId: "exportAudit",
          summary: "Export the audit log",
          description:
            "One entry a line (JSON Lines), oldest first. `mags audit verify` checks such a file without a server.",
          querystring: AuditExportQuery,
          produces: ["application/x-ndjson"],
          response: { 200: z.any().describe("Entries, one a line"), ...failures },
        },
      },
      async (request, reply) => {
        const lines = async function* () {
          for await (const entry of audit.export(orgOf(request), request.query.from_seq))
            yield `${JSON.stringify(entry)}\n`;
        };
        return reply.type("application/x-ndjson").send(Readable.from(lines()) as never);
      },
    );
  };
}
