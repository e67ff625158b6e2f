import { randomUUID } from "node:crypto";
import type { Logger } from "@mags/kit";
import {
  ApiError,
  CreateCron,
  CreateJob,
  type CronJob,
  type CronList,
  type CronPreview,
  type CronRunList,
  type PreviewCron,
} from "@mags/protocol";
import type { z } from "zod";
import type { Database, Queryable } from "../db/database.ts";
import { issueError } from "../http/validation.ts";
import type { Jobs } from "../jobs/service.ts";
import type { Metrics } from "../metrics/metrics.ts";
import { Firing } from "./firing.ts";
import { readSchedule, refuseRhythm } from "./schedule.ts";
import {
  type CronRow,
  type CronSettings,
  changeCron,
  countCrons,
  deleteCron,
  findCrons,
  forgetRuns,
  insertCron,
  listCrons,
  listRuns,
} from "./store.ts";
import { SHOWN_RUNS, toCronJob, toCronRun, toRequest } from "./view.ts";

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
/** How long the history of runs is kept */
const HISTORY_DAYS = 90;
/** Most schedules of one organisation */
const MOST = 1000;

export interface CronOptions {
  /** shortest time between two firings of a schedule, `s` */
  minSeconds: number;
}

/** Schedules that start jobs. `key` is an id, or a name where only one schedule has it. */
export class Crons {
  readonly firing: Firing;
  readonly #db: Database;
  readonly #options: CronOptions;

  constructor(db: Database, jobs: Jobs, metrics: Metrics, options: CronOptions, logger: Logger) {
    this.#db = db;
    this.#options = options;
    this.firing = new Firing(db, jobs, metrics, logger);
  }

  /** `request` has passed CreateCron. Throws ApiError invalid_request for a schedule that is none, quota_exceeded. */
  async create(tx: Queryable, org: string, request: Record<string, unknown>) {
    const settings = this.#settle(request);
    if ((await countCrons(tx, org)) >= MOST)
      throw new ApiError("quota_exceeded", `the organisation has ${MOST} schedules already: delete some`);
    return { status: 201, body: toCronJob(await insertCron(tx, org, randomUUID(), settings)) };
  }

  /** When a schedule would fire; nothing is made. Throws ApiError invalid_request for what would be refused. */
  preview({ cron_expression, time_zone }: z.infer<typeof PreviewCron>): CronPreview {
    const schedule = readSchedule(cron_expression, time_zone);
    const now = new Date();
    refuseRhythm(schedule, now, this.#options.minSeconds);
    return { next_runs: schedule.nextRuns(SHOWN_RUNS, now).map((run) => run.toISOString()) };
  }

  async list(org: string): Promise<CronList> {
    const rows = await listCrons(this.#db, org);
    return { cron_jobs: rows.map(toCronJob), total: rows.length };
  }

  /** Throws ApiError not_found, or conflict for a name that several have. */
  async find(org: string, key: string): Promise<CronJob> {
    return toCronJob(await this.#find(this.#db, org, key));
  }

  /** Changes what `change` names; null takes a field back to its default. Throws ApiError as `create` and `find` do. */
  async update(org: string, key: string, change: Record<string, unknown>): Promise<CronJob> {
    return this.#db.transaction(async (tx) => {
      const row = await this.#find(tx, org, key, { lock: true });
      const merged = { ...toRequest(row), ...change };
      const given = Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== null));
      const settings = this.#settle(given);
      const same = ["expression", "time_zone", "enabled"] as const;
      // A change of something else must not move a firing that is due at this very moment.
      if (same.every((field) => settings[field] === row[field])) settings.nextAt = row.next_at;
      return toCronJob(await changeCron(tx, org, row.id, settings));
    });
  }

  /** Jobs that it has started go on. Throws ApiError as `find` does. */
  async remove(org: string, key: string): Promise<string> {
    return this.#db.transaction(async (tx) => {
      const { id } = await this.#find(tx, org, key, { lock: true });
      await deleteCron(tx, org, id);
      return id;
    });
  }

  /** Starts its job now, enabled or not. Throws ApiError as `find` and the making of a job do. */
  async runNow(tx: Queryable, org: string, key: string) {
    const after: (() => void)[] = [];
    const { job, name } = await this.firing.runNow(tx, await this.#find(tx, org, key, { lock: true }), after);
    const body = { request_id: job, name, status: "accepted" as const, message: "Job accepted" };
    return { status: 202, body, afterCommit: () => after.forEach((action) => void action()) };
  }

  /** Throws ApiError as `find` does. */
  async runs(org: string, key: string, page: number, pageSize: number): Promise<CronRunList> {
    const { id } = await this.#find(this.#db, org, key);
    const { runs, total } = await listRuns(this.#db, org, id, pageSize, (page - 1) * pageSize);
    return { runs: runs.map(toCronRun), total, page, page_size: pageSize };
  }

  async forgetOldRuns(): Promise<void> {
    await forgetRuns(this.#db, HISTORY_DAYS);
  }

  /** Checks a whole request and tells what the row holds of it. */
  #settle(request: Record<string, unknown>): CronSettings {
    const parsed = CreateCron.safeParse(request, { reportInput: true });
    if (!parsed.success) throw issueError(parsed.error.issues);
    const cron = parsed.data;
    const job = Object.fromEntries(Object.entries(request).filter(([field]) => field in CreateJob.shape));
    // The rules between the fields of a job.
    const parsedJob = CreateJob.safeParse(job, { reportInput: true });
    if (!parsedJob.success) throw issueError(parsedJob.error.issues);
    const schedule = readSchedule(cron.cron_expression, cron.time_zone);
    const now = new Date();
    refuseRhythm(schedule, now, this.#options.minSeconds);
    const { name: _, ...jobRequest } = job;
    return {
      name: cron.name,
      expression: cron.cron_expression.trim(),
      time_zone: cron.time_zone,
      enabled: cron.enabled,
      request: jobRequest,
      overlap: cron.overlap,
      missed: cron.missed,
      catch_up: cron.catch_up,
      retries: cron.retries,
      retry_delay: cron.retry_delay,
      nextAt: cron.enabled ? schedule.next(now) : null,
    };
  }

  async #find(q: Queryable, org: string, key: string, options: { lock?: boolean } = {}): Promise<CronRow> {
    const [row, another] = await findCrons(q, org, UUID.test(key) ? { id: key } : { name: key }, options);
    const shown = JSON.stringify(key.slice(0, 128));
    if (!row) throw new ApiError("not_found", `there is no schedule ${shown}`);
    if (another) throw new ApiError("conflict", `several schedules have the name ${shown}: use an id`);
    return row;
  }
}
