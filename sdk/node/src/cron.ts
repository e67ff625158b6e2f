import { type CallSettings, callJson, type HttpOptions } from "./http.ts";
import { jobBody, type RunOptions } from "./job-body.ts";
import type { CronJob, CronList, CronPreview, CronRunList, Job } from "./wire.ts";

/** A schedule, and beside it every option of the jobs that it starts. */
export interface CronOptions extends Omit<RunOptions, "name" | "signal"> {
  name?: string | undefined;
  script?: string | undefined;
  /** five fields, six with seconds first, or a name such as `@hourly` */
  cronExpression?: string | undefined;
  /** IANA name; UTC by default */
  timeZone?: string | undefined;
  enabled?: boolean | undefined;
  /** what a firing does while an earlier script still runs; skip by default */
  overlap?: "skip" | "queue" | "allow" | undefined;
  /** what happens with firings that no server was there for; run_once by default */
  missed?: "skip" | "run_once" | "catch_up" | undefined;
  /** most missed firings that `catch_up` makes good */
  catchUp?: number | undefined;
  /** further tries after a failure */
  retries?: number | undefined;
  /** time before each further try, `seconds` */
  retryDelay?: number | undefined;
}

/** Schedules. `id` may be the name of a schedule where only one has it. All calls throw MagsError. */
export class CronClient {
  readonly #http: HttpOptions;

  constructor(http: HttpOptions) {
    this.#http = http;
  }

  create(
    cron: CronOptions & { name: string; script: string; cronExpression: string },
    options: CallSettings = {},
  ): Promise<CronJob> {
    return callJson(this.#http, "POST", "/mags-cron", { body: cronBody(cron), signal: options.signal });
  }

  /** When a schedule would fire; a MagsError says why it would be refused. */
  preview(cronExpression: string, timeZone = "UTC", options: CallSettings = {}): Promise<CronPreview> {
    const body = { cron_expression: cronExpression, time_zone: timeZone };
    return callJson(this.#http, "POST", "/mags-cron/preview", { body, signal: options.signal });
  }

  list(options: CallSettings = {}): Promise<CronList> {
    return callJson(this.#http, "GET", "/mags-cron", options);
  }

  get(id: string, options: CallSettings = {}): Promise<CronJob> {
    return callJson(this.#http, "GET", path(id), options);
  }

  /** What is not named stays as it is. */
  update(id: string, changes: CronOptions, options: CallSettings = {}): Promise<CronJob> {
    return callJson(this.#http, "PATCH", path(id), { body: cronBody(changes), signal: options.signal });
  }

  async delete(id: string, options: CallSettings = {}): Promise<void> {
    await callJson(this.#http, "DELETE", path(id), options);
  }

  /** Starts its job now. */
  async run(id: string, options: CallSettings = {}): Promise<{ requestId: string; name: string }> {
    const answer = await callJson<Pick<Job, "request_id" | "name">>(this.#http, "POST", `${path(id)}/run`, options);
    return { requestId: answer.request_id, name: answer.name };
  }

  /** Its runs, newest first. */
  runs(id: string, options: { page?: number; pageSize?: number } & CallSettings = {}): Promise<CronRunList> {
    const { page = 1, pageSize = 20, signal } = options;
    return callJson(this.#http, "GET", `${path(id)}/runs?page=${page}&page_size=${pageSize}`, { signal });
  }
}

const path = (id: string) => `/mags-cron/${encodeURIComponent(id)}`;

const cronBody = ({ cronExpression, timeZone, catchUp, retryDelay, ...cron }: CronOptions) => ({
  ...jobBody(cron),
  script: cron.script,
  enabled: cron.enabled,
  overlap: cron.overlap,
  missed: cron.missed,
  retries: cron.retries,
  cron_expression: cronExpression,
  time_zone: timeZone,
  catch_up: catchUp,
  retry_delay: retryDelay,
});
