import type { Queryable } from "../db/database.ts";

const NOTIFY = "pg_notify('mags_events', $1)";

/** Asks the node that has the job to put its machine away. */
export async function requestSleep(tx: Queryable, id: string): Promise<void> {
  await tx.query("UPDATE jobs SET sleep_requested_at = coalesce(sleep_requested_at, clock_timestamp()) WHERE id = $1", [
    id,
  ]);
}

/** The machine is put away; its node is still the one that has the log. */
export async function markAsleep(tx: Queryable, payload: string, id: string, because: string): Promise<void> {
  await tx.query(
    `WITH job AS (
       UPDATE jobs SET status = 'sleeping', lease_until = NULL, sleep_requested_at = NULL,
         activity_because = $3, activity_since = clock_timestamp()
       WHERE id = $2 RETURNING id)
     SELECT ${NOTIFY} FROM job`,
    [payload, id, because],
  );
}

/** Puts a sleeping job into the queue again; true when it was asleep. */
export async function markWaking(q: Queryable, payload: string, id: string, because: string): Promise<boolean> {
  const { rowCount } = await q.query(
    `WITH job AS (
       UPDATE jobs SET status = 'accepted', wakes = wakes + 1, activity_because = $3, activity_since = clock_timestamp()
       WHERE id = $2 AND status = 'sleeping' RETURNING id)
     SELECT ${NOTIFY} FROM job`,
    [payload, id, because],
  );
  return rowCount === 1;
}

/** Wakes the job that has the workspace, where it sleeps. */
export async function wakeHolder(q: Queryable, payload: string, workspace: string, because: string): Promise<void> {
  await q.query(
    `WITH job AS (
       UPDATE jobs SET status = 'accepted', wakes = wakes + 1, activity_because = $3, activity_since = clock_timestamp()
       FROM workspaces w WHERE w.id = $2 AND jobs.id = w.holder_job AND status = 'sleeping' RETURNING jobs.id)
     SELECT ${NOTIFY} FROM job`,
    [payload, workspace, because],
  );
}

/**
 * Name of the oldest job that waits for the workspace. The workspace is locked first: whoever makes a job that names it has it
 * locked too, so either this sees that job, or that one sees who sleeps.
 */
export async function waitingFor(tx: Queryable, workspace: string): Promise<string | undefined> {
  await tx.query("SELECT 1 FROM workspaces WHERE id = $1 FOR UPDATE", [workspace]);
  const { rows } = await tx.query<{ name: string }>(
    "SELECT name FROM jobs WHERE workspace = $1 AND status = 'accepted' ORDER BY seq LIMIT 1",
    [workspace],
  );
  return rows[0]?.name;
}

/**
 * Gives a job that may not sleep another machine, because its own was lost; true when it was still that attempt's. What was
 * durable of its files is there again. What the lost node still says of it is of an attempt that is over.
 */
export async function restart(
  q: Queryable,
  payload: string,
  job: { id: string; attempt: number },
  because: string,
): Promise<boolean> {
  const { rowCount } = await q.query(
    `WITH job AS (
       UPDATE jobs SET status = 'accepted', attempt = attempt + 1, wakes = wakes + 1, lease_until = NULL, sleep_requested_at = NULL,
         activity_because = $4, activity_since = clock_timestamp()
       WHERE id = $2 AND attempt = $3 AND status IN ('starting', 'running') AND lease_until < now() RETURNING id)
     SELECT ${NOTIFY} FROM job`,
    [payload, job.id, job.attempt, because],
  );
  return rowCount === 1;
}
