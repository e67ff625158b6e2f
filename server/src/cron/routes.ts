import {
  CreateCron,
  CronDeleted,
  CronJob,
  CronList,
  CronPreview,
  CronRunList,
  ErrorBody,
  JobAccepted,
  ListCronRunsQuery,
  PreviewCron,
  UpdateCron,
} from "@mags/protocol";
import type { FastifyRequest } from "fastify";
import { z } from "zod";
import { orgOf } from "../http/auth.ts";
import type { App, Context } from "../http/context.ts";
import { answerOnce, PostHeaders } from "../http/idempotency.ts";
import { refuseUnstorableText } from "../http/validation.ts";
import { modernise } from "../jobs/legacy.ts";

const tags = ["cron"];
const failures = { "4xx": ErrorBody, "5xx": ErrorBody };
const Params = z.object({ id: z.string().describe("Id of a schedule, or its name where only one has it") });

/** The request as it was sent: what is not named must stay open until a job is made of it. */
const given = new WeakMap<FastifyRequest, Record<string, unknown>>();
const keepGiven = async (request: FastifyRequest) => {
  refuseUnstorableText(request.body);
  request.body = modernise(request.body);
  given.set(request, request.body as Record<string, unknown>);
};

export function cronRoutes(context: Context) {
  return async (app: App): Promise<void> => {
    writing(app, context);
    reading(app, context);
  };
}

function writing(app: App, { db, crons }: Context): void {
  app.post(
    "/mags-cron",
    {
      preValidation: keepGiven,
      schema: {
        tags,
        operationId: "createCron",
        summary: "Start a job on a schedule",
        description:
          "Takes every field of a job. Each firing is a job like any other; its id is in the schedule's runs. Several servers share the firings: none is doubled, none is lost.",
        headers: PostHeaders,
        body: CreateCron,
        response: { 201: CronJob, ...failures },
      },
    },
    (request, reply) =>
      answerOnce(db, request, reply, (tx) => crons.create(tx, orgOf(request), given.get(request) ?? {}), {
        single: false,
      }) as never,
  );
  app.patch(
    "/mags-cron/:id",
    {
      preValidation: keepGiven,
      schema: {
        tags,
        operationId: "updateCron",
        summary: "Change a schedule",
        description: "Any field; null takes one back to its default. Runs that have started are not changed.",
        params: Params,
        body: UpdateCron,
        response: { 200: CronJob, ...failures },
      },
    },
    (request) => crons.update(orgOf(request), request.params.id, given.get(request) ?? {}),
  );
  app.delete(
    "/mags-cron/:id",
    {
      schema: {
        tags,
        operationId: "deleteCron",
        summary: "Delete a schedule",
        description: "With the history of its runs. Jobs that it has started go on.",
        params: Params,
        response: { 200: CronDeleted, ...failures },
      },
    },
    async (request) => ({ id: await crons.remove(orgOf(request), request.params.id), deleted: true as const }),
  );
  app.post(
    "/mags-cron/:id/run",
    {
      schema: {
        tags,
        operationId: "runCron",
        summary: "Run a schedule's job now",
        description: "Whatever its times say, enabled or not, and beside a run that is going on.",
        headers: PostHeaders,
        params: Params,
        response: { 202: JobAccepted, ...failures },
      },
    },
    (request, reply) =>
      answerOnce(db, request, reply, (tx) => crons.runNow(tx, orgOf(request), request.params.id), {
        single: false,
      }) as never,
  );
}

function reading(app: App, { crons }: Context): void {
  app.post(
    "/mags-cron/preview",
    {
      config: { scope: "read" },
      schema: {
        tags,
        operationId: "previewCron",
        summary: "Show when a schedule would fire",
        description: "The next five times, or why the schedule would be refused. Nothing is made.",
        body: PreviewCron,
        response: { 200: CronPreview, ...failures },
      },
    },
    async (request) => crons.preview(request.body),
  );
  app.get(
    "/mags-cron",
    {
      schema: {
        tags,
        operationId: "listCrons",
        summary: "List schedules",
        description: "Newest first.",
        response: { 200: CronList, ...failures },
      },
    },
    (request) => crons.list(orgOf(request)),
  );
  app.get(
    "/mags-cron/:id",
    {
      schema: {
        tags,
        operationId: "getCron",
        summary: "Show a schedule",
        description: "With its next five firings and what became of the last one.",
        params: Params,
        response: { 200: CronJob, ...failures },
      },
    },
    (request) => crons.find(orgOf(request), request.params.id),
  );
  app.get(
    "/mags-cron/:id/runs",
    {
      schema: {
        tags,
        operationId: "listCronRuns",
        summary: "List the runs of a schedule",
        description: "Newest first, page by page, for 90 days: those that were skipped and why, too.",
        params: Params,
        querystring: ListCronRunsQuery,
        response: { 200: CronRunList, ...failures },
      },
    },
    (request) => crons.runs(orgOf(request), request.params.id, request.query.page, request.query.page_size),
  );
}
