import type { Queryable } from "../db/database.ts";
import { COLUMNS, type JobRow } from "./store.ts";

const NOTIFY = "pg_notify('mags_events', $1)";
const ISO = (time: string) => `to_char(${time} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;

/** Jobs whose lease ran out, with the database's clock: the only one all servers share. */
export async function overdueJobs(q: Queryable): Promise<(JobRow & { now: Date })[]> {
  const { rows } = await q.query<JobRow & { now: Date }>(
    `SELECT ${COLUMNS}, clock_timestamp() AS now FROM jobs WHERE status IN ('starting', 'running') AND lease_until < now()`,
  );
  return rows;
}

/** Gives a job up, unless its lease was renewed or it changed hands since it was read; true when it did. */
export async function giveUp(
  q: Queryable,
  payload: string,
  job: Pick<JobRow, "id" | "attempt">,
  error: string,
): Promise<boolean> {
  const { rowCount } = await q.query(
    `WITH job AS (
       UPDATE jobs SET status = 'error', reason = 'node_lost', error = $4, completed_at = clock_timestamp(), lease_until = NULL
       WHERE id = $2 AND attempt = $3 AND status IN ('starting', 'running') AND lease_until < now() RETURNING id)
     SELECT ${NOTIFY} FROM job`,
    [payload, job.id, job.attempt, error],
  );
  return rowCount === 1;
}

/**
 * Puts a job whose node was lost into the queue again, unless its lease was renewed meanwhile or it changed hands; true when it
 * did. What that node still says of it is of an attempt that is over. A workspace stays with it.
 */
export async function retryLost(
  q: Queryable,
  payload: string,
  job: Pick<JobRow, "id" | "attempt">,
  error: string,
): Promise<boolean> {
  const { rowCount } = await q.query(
    `WITH job AS (
       UPDATE jobs SET status = 'accepted', node = NULL, host_job = NULL, lease_until = NULL, attempt = attempt + 1,
         started_at = NULL, ran_by = NULL, script_ended_at = NULL, exit_code = NULL, signal = NULL, script_duration_ms = NULL,
         lost_attempts = lost_attempts || jsonb_build_object('attempt', attempt, 'node', node, 'started_at', ${ISO("started_at")},
           'lost_at', ${ISO("clock_timestamp()")}, 'error', $4::text)
       WHERE id = $2 AND attempt = $3 AND status IN ('starting', 'running') AND lease_until < now() RETURNING id)
     SELECT ${NOTIFY} FROM job`,
    [payload, job.id, job.attempt, error],
  );
  return rowCount === 1;
}
