import {
  CreateJob,
  ErrorBody,
  Job,
  JobAccepted,
  JobList,
  JobStatusQuery,
  ListJobsQuery,
  PoolStatus,
  UpdateJob,
  Usage,
  UsageQuery,
} from "@mags/protocol";
import type { Queryable } from "../db/database.ts";
import { orgOf } from "../http/auth.ts";
import type { App, Context } from "../http/context.ts";
import { hangUp } from "../http/context.ts";
import { answerOnce, PostHeaders } from "../http/idempotency.ts";
import { refuseUnstorableText } from "../http/validation.ts";
import { modernise } from "./legacy.ts";
import { JobParams } from "./params.ts";
import { readUsage } from "./usage.ts";

const tags = ["jobs"];
const failures = { "4xx": ErrorBody, "5xx": ErrorBody };

export function jobRoutes(context: Context) {
  return async (app: App): Promise<void> => {
    app.addHook("preValidation", async (request) => refuseUnstorableText(request.body));
    writing(app, context);
    reading(app, context);
    sleeping(app, context);
  };
}

function writing(app: App, { db, jobs }: Context): void {
  app.post(
    "/mags-jobs",
    {
      config: { audit: "own" },
      preValidation: async (request) => {
        request.body = modernise(request.body) as typeof request.body;
      },
      schema: {
        tags,
        operationId: "createJob",
        summary: "Run a script",
        description:
          "Queues a script for a fresh machine and answers at once; follow it with the status and logs of the returned id.",
        headers: PostHeaders,
        body: CreateJob,
        response: { 202: JobAccepted.describe("Accepted"), ...failures },
      },
    },
    async (request, reply) => {
      const single = await jobs.createsAtOnce(orgOf(request), request.body);
      const work = (q: Queryable) => jobs.create(q, orgOf(request), request.body);
      return answerOnce(db, request, reply, work, { single }) as never;
    },
  );
  app.post(
    "/mags-jobs/:id/stop",
    {
      schema: {
        tags,
        operationId: "stopJob",
        summary: "Stop a job",
        description:
          "A job that waits ends at once; one that runs is ended by its node. A job that has ended answers 409.",
        headers: PostHeaders,
        params: JobParams,
        response: { 202: JobAccepted.describe("Stopped, or being stopped"), ...failures },
      },
    },
    (request, reply) =>
      answerOnce(db, request, reply, (q) => jobs.stop(q, orgOf(request), request.params.id), {
        single: false,
      }) as never,
  );
  app.patch(
    "/mags-jobs/:id",
    {
      schema: {
        tags,
        operationId: "updateJob",
        summary: "Change a live job",
        description: "Sets the startup command or whether the machine may sleep.",
        params: JobParams,
        body: UpdateJob,
        response: { 200: Job, ...failures },
      },
    },
    (request) => jobs.update(orgOf(request), request.params.id, request.body),
  );
}

function reading(app: App, { db, jobs, nodes, closing }: Context): void {
  app.get(
    "/mags-jobs/:id/status",
    {
      schema: {
        tags,
        operationId: "getJob",
        summary: "Show a job",
        description:
          "With wait the answer is held until the script has ended: the job is final, or it is persistent and only its machine is left.",
        params: JobParams,
        querystring: JobStatusQuery,
        response: { 200: Job, ...failures },
      },
    },
    (request, reply) =>
      jobs.status(orgOf(request), request.params.id, (request.query.wait ?? 0) * 1000, hangUp(reply, closing)),
  );
  app.get(
    "/mags-jobs",
    {
      schema: {
        tags,
        operationId: "listJobs",
        summary: "List jobs",
        description: "Newest first, page by page.",
        querystring: ListJobsQuery,
        response: { 200: JobList, ...failures },
      },
    },
    (request) => {
      const { query } = request;
      return jobs.list(
        orgOf(request),
        { status: query.status, name: query.name, workspace: query.workspace_id },
        query.page,
        query.page_size,
      );
    },
  );
  app.get(
    "/mags-jobs/pool-status",
    {
      schema: {
        tags,
        operationId: "getPoolStatus",
        summary: "Show the warm pool",
        description: "Machines ready and busy, summed over all nodes.",
        response: { 200: PoolStatus, ...failures },
      },
    },
    () => nodes.poolStatus(),
  );
  app.get(
    "/mags-jobs/usage",
    {
      schema: {
        tags,
        operationId: "getUsage",
        summary: "Show what was used",
        description: "Jobs and machine time of the organisation in the last days.",
        querystring: UsageQuery,
        response: { 200: Usage, ...failures },
      },
    },
    (request) => readUsage(db, orgOf(request), request.query.window_days),
  );
}

function sleeping(app: App, { jobs, sleep, closing }: Context): void {
  app.post(
    "/mags-jobs/:id/sleep",
    {
      schema: {
        tags,
        operationId: "sleepJob",
        summary: "Put the machine of a persistent job away",
        description:
          "Everything in it is made durable first; processes end. Whoever wants in wakes it. Answers when it sleeps, or after 25 s with how far it is.",
        headers: PostHeaders,
        params: JobParams,
        response: { 200: Job, ...failures },
      },
    },
    async (request, reply) => jobs.show(await sleep.sleep(orgOf(request), request.params.id, hangUp(reply, closing))),
  );
  app.post(
    "/mags-jobs/:id/wake",
    {
      schema: {
        tags,
        operationId: "wakeJob",
        summary: "Wake a sleeping machine",
        description: "Answers when it is up and its startup command was started; at once where it is. 504 after 30 s.",
        headers: PostHeaders,
        params: JobParams,
        response: { 200: Job, ...failures },
      },
    },
    async (request, reply) =>
      jobs.show(await sleep.wake(orgOf(request), request.params.id, "somebody woke it", hangUp(reply, closing))),
  );
}
