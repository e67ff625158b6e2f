import { ErrorBody, JobAccepted, JobMetrics, RerunJob } from "@mags/protocol";
import { orgOf } from "../http/auth.ts";
import { type App, type Context, hangUp } from "../http/context.ts";
import { answerOnce, PostHeaders } from "../http/idempotency.ts";
import { readMetrics } from "./metrics.ts";
import { JobParams } from "./params.ts";

const tags = ["jobs"];
const failures = { "4xx": ErrorBody, "5xx": ErrorBody };

/** What one does with a job that one looks at: see what its machine uses, and run it again. */
export function moreJobRoutes({ db, jobs, nodes, closing }: Context) {
  return async (app: App): Promise<void> => {
    app.get(
      "/mags-jobs/:id/metrics",
      {
        schema: {
          tags,
          operationId: "getJobMetrics",
          summary: "Show what a job's machine uses",
          description: "CPU, memory and disk over the last half hour at most; without samples where no machine is up.",
          params: JobParams,
          response: { 200: JobMetrics, ...failures },
        },
      },
      async (request, reply) =>
        readMetrics(nodes, await jobs.find(orgOf(request), request.params.id), hangUp(reply, closing)),
    );
    app.post(
      "/mags-jobs/:id/rerun",
      {
        preValidation: async (request) => {
          request.body ??= {};
        },
        schema: {
          tags,
          operationId: "rerunJob",
          summary: "Run a job again on exactly what it ran on",
          description:
            "The same script, variables, files and limits, the same image by its digest, and the version that its disk began as. A workspace that the job wrote to is not touched: name a new one to keep what the new run writes. 409 where that version was deleted, 422 where no node has that image any more.",
          headers: PostHeaders,
          params: JobParams,
          body: RerunJob,
          response: { 202: JobAccepted.describe("Accepted"), ...failures },
        },
      },
      (request, reply) =>
        answerOnce(
          db,
          request,
          reply,
          (tx) => jobs.rerun(tx, orgOf(request), request.params.id, request.body.workspace_id),
          { single: false },
        ) as never,
    );
  };
}
