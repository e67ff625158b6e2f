import { ErrorBody, LogCursor, Logs, LogsQuery } from "@mags/protocol";
import { z } from "zod";
import { orgOf } from "../http/auth.ts";
import type { App, Context } from "../http/context.ts";
import { hangUp, rawOf } from "../http/context.ts";
import { JobParams } from "../jobs/params.ts";
import { followLog, readLog } from "./service.ts";

const Headers = z.looseObject({
  "last-event-id": LogCursor.optional().describe("Continues a stream after this event"),
});

export function logRoutes(context: Context) {
  return async (app: App): Promise<void> => {
    app.get(
      "/mags-jobs/:id/logs",
      {
        schema: {
          tags: ["jobs"],
          operationId: "getLogs",
          summary: "Read or follow the log of a job",
          description:
            "One entry a line, in order. With follow=1 a stream of Server-Sent Events: `entry` for each line and, last, `end`; the id of an event continues the log after it.",
          params: JobParams,
          querystring: LogsQuery,
          headers: Headers,
          response: { 200: Logs, "4xx": ErrorBody, "5xx": ErrorBody },
        },
      },
      async (request, reply) => {
        const { follow, after, limit } = request.query;
        const signal = hangUp(reply, context.closing);
        const org = orgOf(request);
        const job = { org, idOrName: request.params.id };
        if (follow !== "1" && follow !== "true") return readLog(context, job, { after, limit }, signal);
        const source = await context.jobs.logSource(org, job.idOrName);
        // From here on the answer is ours to write, so that each event leaves at once.
        reply.hijack();
        const cursor = request.headers["last-event-id"] ?? after;
        await followLog(context, { org, id: source.id }, cursor, rawOf(reply as never), {
          signal,
          requestId: request.id,
        });
        return reply;
      },
    );
  };
}
