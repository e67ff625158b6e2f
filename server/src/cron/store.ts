import { randomUUID } from "node:crypto";
import type { JobStatus } from "@mags/protocol";
import type { Selectable } from "kysely";
import type { Database, Queryable } from "../db/database.ts";
import type { CronRunsTable, CronsTable } from "../db/types.ts";

export type CronRow = Selectable<CronsTable>;
export type RunRow = Omit<Selectable<CronRunsTable>, "seq">;

/** What of a schedule the user sets, and what follows from it. */
export type CronSettings = Pick<
  CronRow,
  "name" | "expression" | "time_zone" | "enabled" | "overlap" | "missed" | "catch_up" | "retries" | "retry_delay"
> & { request: Record<string, unknown>; nextAt: Date | null };

const SETTINGS = `name = $3, expression = $4, time_zone = $5, enabled = $6, request = $7, overlap = $8, missed = $9,
  catch_up = $10, retries = $11, retry_delay = $12, next_at = $13`;

const settingValues = (cron: CronSettings) => [
  cron.name,
  cron.expression,
  cron.time_zone,
  cron.enabled,
  JSON.stringify(cron.request),
  cron.overlap,
  cron.missed,
  cron.catch_up,
  cron.retries,
  cron.retry_delay,
  cron.nextAt,
];

export async function insertCron(q: Queryable, org: string, id: string, cron: CronSettings): Promise<CronRow> {
  const { rows } = await q.query<CronRow>(
    `INSERT INTO crons (id, org, name, expression, time_zone, enabled, request, overlap, missed, catch_up, retries, retry_delay, next_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) RETURNING *`,
    [id, org, ...settingValues(cron)],
  );
  return rows[0] as CronRow;
}

export async function changeCron(tx: Queryable, org: string, id: string, cron: CronSettings): Promise<CronRow> {
  const { rows } = await tx.query<CronRow>(
    `UPDATE crons SET ${SETTINGS}, updated_at = clock_timestamp() WHERE id = $1 AND org = $2 RETURNING *`,
    [id, org, ...settingValues(cron)],
  );
  return rows[0] as CronRow;
}

/** By id, or by name where only one has it: then two rows are the answer to a name that is not enough. */
export async function findCrons(
  q: Queryable,
  org: string,
  key: { id: string } | { name: string },
  options: { lock?: boolean } = {},
): Promise<CronRow[]> {
  const [column, value] = "id" in key ? ["id", key.id] : ["name", key.name];
  const lock = options.lock ? " FOR UPDATE" : "";
  const text = `SELECT * FROM crons WHERE org = $1 AND ${column} = $2 LIMIT 2${lock}`;
  return (await q.query<CronRow>(text, [org, value])).rows;
}

export async function listCrons(db: Database, org: string): Promise<CronRow[]> {
  return (await db.query<CronRow>("SELECT * FROM crons WHERE org = $1 ORDER BY created_at DESC, id", [org])).rows;
}

/** How many schedules the organisation has; rows of it stay as they are until the transaction ends. */
export async function countCrons(tx: Queryable, org: string): Promise<number> {
  await tx.query("SELECT 1 FROM organisations WHERE id = $1 FOR NO KEY UPDATE", [org]);
  const { rows } = await tx.query<{ n: number }>("SELECT count(*)::int AS n FROM crons WHERE org = $1", [org]);
  return rows[0]?.n ?? 0;
}

export async function deleteCron(tx: Queryable, org: string, id: string): Promise<void> {
  await tx.query("DELETE FROM crons WHERE id = $1 AND org = $2", [id, org]);
}

export type DueRow = CronRow & { next_at: Date; now: Date };

const DUE = {
  name: "lock_due_crons",
  text: `SELECT *, clock_timestamp() AS now FROM crons WHERE next_at <= clock_timestamp()
    ORDER BY next_at LIMIT $1 FOR UPDATE SKIP LOCKED`,
};

/** Schedules whose time has come, of any organisation, locked; those that another server has are skipped. `now` is the database's clock. */
export async function lockDue(tx: Queryable, limit: number): Promise<DueRow[]> {
  return (await tx.query<DueRow>(DUE, [limit])).rows;
}

/** Sets the next times; null for a schedule that has none any more. */
export async function moveOn(tx: Queryable, next: ReadonlyMap<string, Date | null>): Promise<void> {
  await tx.query(
    `UPDATE crons SET next_at = given.next_at FROM unnest($1::uuid[], $2::timestamptz[]) AS given (id, next_at)
     WHERE crons.id = given.id`,
    [[...next.keys()], [...next.values()]],
  );
}

/** A schedule with a run that may start now, of any organisation, locked. What it saw may be old: ask `nextQueued` again. */
export async function lockWaiting(tx: Queryable): Promise<CronRow | undefined> {
  const { rows } = await tx.query<CronRow>({
    name: "lock_waiting_cron",
    text: `SELECT * FROM crons c WHERE EXISTS (
        SELECT 1 FROM cron_runs r WHERE r.cron = c.id AND r.state = 'queued' AND r.not_before <= clock_timestamp())
      AND (c.overlap = 'allow' OR NOT EXISTS (SELECT 1 FROM cron_runs r WHERE r.cron = c.id AND r.state = 'started'))
      LIMIT 1 FOR UPDATE SKIP LOCKED`,
  });
  return rows[0];
}

export async function nextQueued(tx: Queryable, cron: Pick<CronRow, "id" | "overlap">): Promise<RunRow | undefined> {
  const { rows } = await tx.query<RunRow>(
    `SELECT * FROM cron_runs WHERE cron = $1 AND state = 'queued' AND not_before <= clock_timestamp()
       AND ($2 = 'allow' OR NOT EXISTS (SELECT 1 FROM cron_runs WHERE cron = $1 AND state = 'started'))
     ORDER BY scheduled_at, seq LIMIT 1`,
    [cron.id, cron.overlap],
  );
  return rows[0];
}

export interface OpenRuns {
  started: number;
  queued: number;
}

/** How many runs of each schedule are going on or wait; one that is not in the answer has none. */
export async function countOpen(tx: Queryable, crons: string[]): Promise<Map<string, OpenRuns>> {
  const { rows } = await tx.query<OpenRuns & { cron: string }>(
    `SELECT cron, count(*) FILTER (WHERE state = 'started')::int AS started,
       count(*) FILTER (WHERE state = 'queued')::int AS queued
     FROM cron_runs WHERE cron = ANY($1::uuid[]) AND state IN ('started', 'queued') GROUP BY cron`,
    [crons],
  );
  return new Map(rows.map(({ cron, ...open }) => [cron, open]));
}

export type NewRun = Pick<RunRow, "org" | "cron" | "kind" | "state" | "reason"> &
  Partial<Pick<RunRow, "attempt" | "job">> & { scheduledAt: Date; notBefore?: Date };

export async function insertRuns(tx: Queryable, runs: NewRun[]): Promise<void> {
  const rows = runs.map((run) => ({
    id: randomUUID(),
    org: run.org,
    cron: run.cron,
    kind: run.kind,
    attempt: run.attempt ?? 0,
    scheduled_at: run.scheduledAt,
    not_before: run.notBefore ?? run.scheduledAt,
    state: run.state,
    reason: run.reason,
    job: run.job ?? null,
  }));
  await tx.query(
    `INSERT INTO cron_runs (id, org, cron, kind, attempt, scheduled_at, not_before, state, reason, job, started_at, ended_at)
     SELECT id, org, cron, kind, attempt, scheduled_at, not_before, state, reason, job,
       CASE WHEN state = 'started' THEN clock_timestamp() END,
       CASE WHEN state IN ('failed', 'skipped') THEN clock_timestamp() END
     FROM jsonb_to_recordset($1) AS given (id uuid, org text, cron uuid, kind text, attempt integer,
       scheduled_at timestamptz, not_before timestamptz, state text, reason text, job uuid)`,
    [JSON.stringify(rows)],
  );
}

export async function startRun(tx: Queryable, id: string, job: string): Promise<void> {
  await tx.query(
    "UPDATE cron_runs SET state = 'started', reason = NULL, job = $2, started_at = clock_timestamp() WHERE id = $1",
    [id, job],
  );
}

export async function failRun(tx: Queryable, id: string, reason: string | null): Promise<void> {
  await tx.query("UPDATE cron_runs SET state = 'failed', reason = $2, ended_at = clock_timestamp() WHERE id = $1", [
    id,
    reason,
  ]);
}

/** Notes on schedules that a run of theirs has started a job, could not, or was skipped; one note a schedule. */
export async function noteLast(
  tx: Queryable,
  notes: { cron: string; state: NewRun["state"]; job?: string | null | undefined }[],
): Promise<void> {
  await tx.query(
    `UPDATE crons SET last_status = given.state,
       last_run_at = CASE WHEN given.state = 'started' THEN clock_timestamp() ELSE last_run_at END,
       last_job = coalesce(given.job, last_job),
       last_exit_code = CASE WHEN given.state = 'started' THEN NULL ELSE last_exit_code END,
       failures = failures + CASE WHEN given.state = 'failed' THEN 1 ELSE 0 END
     FROM jsonb_to_recordset($1) AS given (cron uuid, state text, job uuid) WHERE crons.id = given.cron`,
    [JSON.stringify(notes)],
  );
}

export type EndedRun = RunRow & {
  job_status: JobStatus | null;
  job_exit_code: number | null;
  job_error: string | null;
  job_duration_ms: number | null;
};

/**
 * Runs of any organisation whose script has ended (or whose job is gone), locked with their schedules: whoever deletes or
 * changes a schedule has its row first and then its runs, and would wait for us in a circle. Theirs are left for later.
 */
export async function lockEnded(tx: Queryable, limit: number): Promise<EndedRun[]> {
  const { rows } = await tx.query<EndedRun>(
    `SELECT r.*, j.status AS job_status, j.exit_code AS job_exit_code, j.error AS job_error, j.script_duration_ms AS job_duration_ms
     FROM cron_runs r JOIN crons c ON c.id = r.cron LEFT JOIN jobs j ON j.id = r.job AND j.org = r.org
     WHERE r.state = 'started' AND (j.id IS NULL OR j.completed_at IS NOT NULL OR j.script_ended_at IS NOT NULL)
     LIMIT $1 FOR UPDATE OF c, r SKIP LOCKED`,
    [limit],
  );
  return rows;
}

/** Writes how a run ended, on it and on its schedule, whose row is answered. */
export async function endRun(
  tx: Queryable,
  run: EndedRun,
  { state, reason }: { state: "succeeded" | "failed"; reason: string | null },
): Promise<CronRow> {
  await tx.query(
    `UPDATE cron_runs SET state = $2, reason = $3, exit_code = $4, duration_ms = $5, ended_at = clock_timestamp() WHERE id = $1`,
    [run.id, state, reason, run.job_exit_code, run.job_duration_ms],
  );
  const { rows } = await tx.query<CronRow>(
    `UPDATE crons SET failures = CASE WHEN $3::text = 'failed' THEN failures + 1 ELSE 0 END,
       last_status = CASE WHEN last_job = $4 THEN $3::text ELSE last_status END,
       last_exit_code = CASE WHEN last_job = $4 THEN $5 ELSE last_exit_code END
     WHERE id = $1 AND org = $2 RETURNING *`,
    [run.cron, run.org, state, run.job, run.job_exit_code],
  );
  return rows[0] as CronRow;
}

/** With the versions of the workspace that its job began with, and left. */
export type ListedRun = RunRow & { from_version: number | null; version: number | null };

export async function listRuns(
  db: Database,
  org: string,
  cron: string,
  limit: number,
  offset: number,
): Promise<{ runs: ListedRun[]; total: number }> {
  const [page, all] = await Promise.all([
    db.query<ListedRun>(
      `SELECT r.*, (SELECT number FROM versions v WHERE v.id = j.start_version AND v.org = r.org) AS from_version,
         (SELECT max(number) FROM versions v WHERE v.workspace = j.workspace AND v.job = j.id AND v.org = r.org) AS version
       FROM cron_runs r LEFT JOIN jobs j ON j.id = r.job AND j.org = r.org
       WHERE r.org = $1 AND r.cron = $2 ORDER BY r.seq DESC LIMIT $3 OFFSET $4`,
      [org, cron, limit, offset],
    ),
    db.query<{ n: number }>("SELECT count(*)::int AS n FROM cron_runs WHERE org = $1 AND cron = $2", [org, cron]),
  ]);
  return { runs: page.rows, total: all.rows[0]?.n ?? 0 };
}

/** Forgets runs that ended long ago; answers how many. */
export async function forgetRuns(db: Database, days: number): Promise<number> {
  const { rowCount } = await db.query("DELETE FROM cron_runs WHERE ended_at < now() - $1::integer * interval '1 day'", [
    days,
  ]);
  return rowCount ?? 0;
}
