import { z } from "zod";
import { CreateJob } from "./jobs.ts";

export const cronLimits = { catchUpMax: 100, retriesMax: 10, retryDelayMax: 24 * 3600, queuedMax: 10 } as const;

const Schedule = {
  name: z.string().min(1).max(128).describe("Label; the jobs it starts have it, too"),
  cron_expression: z
    .string()
    .min(1)
    .max(200)
    .describe("Five fields (minute, hour, day, month, weekday), six with seconds first, or a name such as @hourly"),
  time_zone: z.string().min(1).max(64).default("UTC").describe("IANA name, such as Europe/Berlin"),
  enabled: z.boolean().default(true),
  overlap: z
    .enum(["skip", "queue", "allow"])
    .default("skip")
    .describe("What a firing does while an earlier script still runs"),
  missed: z
    .enum(["skip", "run_once", "catch_up"])
    .default("run_once")
    .describe("What happens with firings that no server was there for"),
  catch_up: z
    .number()
    .int()
    .min(1)
    .max(cronLimits.catchUpMax)
    .default(10)
    .describe("Most missed firings that catch_up makes good, the newest"),
  retries: z
    .number()
    .int()
    .min(0)
    .max(cronLimits.retriesMax)
    .default(0)
    .describe("Further tries after a failure: a job that ends in error, or a script with another exit code than 0"),
  retry_delay: z
    .number()
    .int()
    .min(1)
    .max(cronLimits.retryDelayMax)
    .default(60)
    .describe("Time before each further try, in seconds"),
};

/** The fields of the job that each firing starts; its rules are checked with it. */
const { name: _, ...jobFields } = CreateJob.shape;

/** Body of `POST /mags-cron`: a schedule, and beside it every field of a job. */
export const CreateCron = z.object({ ...jobFields, ...Schedule });
export type CreateCron = z.infer<typeof CreateCron>;

/** Body of `PATCH /mags-cron/:id`: any of the same fields; null takes one back to its default. */
export const UpdateCron = z
  .strictObject(
    Object.fromEntries(
      Object.entries(CreateCron.shape).map(([field, schema]) => [field, withoutDefault(schema).nullable().optional()]),
    ) as { [Field in keyof CreateCron]: z.ZodOptional<z.ZodNullable<z.ZodType>> },
  )
  .refine((change) => Object.keys(change).length > 0, "names nothing to change");
export type UpdateCron = z.infer<typeof UpdateCron>;

function withoutDefault(schema: z.ZodType): z.ZodType {
  if (schema instanceof z.ZodDefault) return schema.removeDefault() as z.ZodType;
  return schema instanceof z.ZodOptional ? (schema.unwrap() as z.ZodType) : schema;
}

export const cronRunStates = ["queued", "started", "succeeded", "failed", "skipped"] as const;

/** A schedule as the API shows it; times are ISO 8601. */
export const CronJob = z.object({
  ...CreateCron.shape,
  id: z.uuid(),
  next_run_at: z.string().nullable(),
  next_runs: z.array(z.string()).describe("The next five firings"),
  last_run_at: z.string().nullable().describe("When it last started a job"),
  last_status: z.enum(cronRunStates).nullable(),
  last_request_id: z.uuid().nullable().describe("Job of the last run; its log is the run's log"),
  last_exit_code: z.number().int().nullable(),
  failure_count: z.number().int().describe("Failures since the last success"),
  created_at: z.string(),
  updated_at: z.string(),
});
export type CronJob = z.infer<typeof CronJob>;

export const CronList = z.object({ cron_jobs: z.array(CronJob), total: z.number().int() });
export type CronList = z.infer<typeof CronList>;

/** One firing. */
export const CronRun = z.object({
  id: z.uuid(),
  cron_id: z.uuid(),
  kind: z.enum(["schedule", "manual", "retry"]),
  attempt: z.number().int().describe("0, or the number of the retry"),
  scheduled_at: z.string().describe("When it was due"),
  state: z.enum(cronRunStates),
  reason: z.string().nullable().describe("Why it was skipped, or how it failed"),
  request_id: z.uuid().nullable().describe("Its job"),
  exit_code: z.number().int().nullable(),
  from_version: z.number().int().nullable().describe("Version of the workspace that it began with"),
  version: z.number().int().nullable().describe("Version that it left; null where it changed nothing"),
  started_at: z.string().nullable(),
  ended_at: z.string().nullable(),
  duration_ms: z.number().nullable().describe("Of the script"),
});
export type CronRun = z.infer<typeof CronRun>;

export const ListCronRunsQuery = z.object({
  page: z.coerce.number().int().min(1).default(1),
  page_size: z.coerce.number().int().min(1).max(200).default(20),
});

export const CronRunList = z.object({
  runs: z.array(CronRun),
  total: z.number().int(),
  page: z.number().int(),
  page_size: z.number().int(),
});
export type CronRunList = z.infer<typeof CronRunList>;

/** Body of `POST /mags-cron/preview`. */
export const PreviewCron = z.object({ cron_expression: Schedule.cron_expression, time_zone: Schedule.time_zone });
export const CronPreview = z.object({ next_runs: z.array(z.string()).describe("The next five firings") });
export type CronPreview = z.infer<typeof CronPreview>;

export const CronDeleted = z.object({ id: z.uuid(), deleted: z.literal(true) });
