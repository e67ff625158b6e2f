import { ApiError, allows, ErrorBody, ReportTraffic, UsageReport, UsageReportQuery, usageCsv } from "@mags/protocol";
import { callerOf } from "../http/auth.ts";
import type { App, Context } from "../http/context.ts";
import { requireMachine, speaksForItself } from "../http/machines.ts";

const failures = { "4xx": ErrorBody, "5xx": ErrorBody };

export function usageRoutes({ usage }: Context) {
  return async (app: App): Promise<void> => {
    app.get(
      "/usage",
      {
        schema: {
          tags: ["usage"],
          operationId: "getUsageReport",
          summary: "Report what was used",
          description:
            "By UTC days, workspaces, tokens, or any of them together. Rows whose workspace or token is null are what belongs to none: " +
            "jobs without a workspace, and storage, which no token has. " +
            "With format=csv, or Accept: text/csv, the rows alone as CSV. By organisation it is for who runs the server.",
          querystring: UsageReportQuery,
          response: { 200: UsageReport, ...failures },
        },
      },
      async (request, reply) => {
        const { format = wanted(request.headers.accept), ...question } = request.query;
        const { org, scopes } = callerOf(request);
        const all = question.by.includes("organisation");
        if (all && !allows(scopes, "operator"))
          throw new ApiError("forbidden", "by organisation the report is for who runs this server", "by");
        const report = await usage.report({ ...question, org: all ? undefined : org });
        if (format === "json") return report;
        const name = `usage-${report.from}-${report.to}.csv`;
        reply.header("content-disposition", `attachment; filename="${name}"`).type("text/csv; charset=utf-8");
        return reply.send(usageCsv(report) as never);
      },
    );
  };
}

const wanted = (accept = ""): "json" | "csv" => (/\btext\/csv\b/.test(accept) ? "csv" : "json");

/** What agents tell of it. */
export function usageNodeRoutes({ usage, cluster }: Context) {
  return async (app: App): Promise<void> => {
    app.addHook("onRequest", requireMachine(cluster, "agent"));
    app.addHook("preHandler", speaksForItself);
    app.post("/traffic", { schema: { hide: true, body: ReportTraffic } }, async ({ body }) => {
      await usage.sent(body.node, body.machines);
      return {};
    });
  };
}
