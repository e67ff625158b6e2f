import { CreateCron, type CronJob, type CronRun } from "@mags/protocol";
import { readSchedule } from "./schedule.ts";
import type { CronRow, ListedRun } from "./store.ts";

/** Firings to come that are shown. */
export const SHOWN_RUNS = 5;
const iso = (date: Date | null) => date?.toISOString() ?? null;

/** A row as a request would say it: what was asked for of the job, and the schedule. */
export const toRequest = (row: CronRow): Record<string, unknown> => ({
  ...row.request,
  name: row.name,
  cron_expression: row.expression,
  time_zone: row.time_zone,
  enabled: row.enabled,
  overlap: row.overlap,
  missed: row.missed,
  catch_up: row.catch_up,
  retries: row.retries,
  retry_delay: row.retry_delay,
});

/** A row as the API shows it. */
export function toCronJob(row: CronRow): CronJob {
  const next = row.next_at ? upcoming(row, row.next_at) : [];
  return {
    ...CreateCron.parse(toRequest(row)),
    id: row.id,
    next_run_at: iso(row.next_at),
    next_runs: next.map((date) => date.toISOString()),
    last_run_at: iso(row.last_run_at),
    last_status: row.last_status,
    last_request_id: row.last_job,
    last_exit_code: row.last_exit_code,
    failure_count: row.failures,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
}

function upcoming(row: CronRow, first: Date): Date[] {
  return [first, ...readSchedule(row.expression, row.time_zone).nextRuns(SHOWN_RUNS - 1, first)];
}

export const toCronRun = (row: ListedRun): CronRun => ({
  id: row.id,
  cron_id: row.cron,
  kind: row.kind,
  attempt: row.attempt,
  scheduled_at: row.scheduled_at.toISOString(),
  state: row.state,
  reason: row.reason,
  request_id: row.job,
  exit_code: row.exit_code,
  from_version: row.from_version,
  version: row.version,
  started_at: iso(row.started_at),
  ended_at: iso(row.ended_at),
  duration_ms: row.duration_ms,
});
