import type { QuotaLimits } from "@mags/protocol";
import type { Queryable } from "../db/database.ts";

export const LIMIT_COLUMNS = {
  sandboxes: "max_sandboxes",
  vcpus: "max_vcpus",
  memory_mb: "max_memory_mb",
  jobs_per_minute: "max_jobs_per_minute",
  workspaces: "max_workspaces",
  stored_bytes: "max_stored_bytes",
} as const satisfies Record<keyof QuotaLimits, string>;

const LIMITS = Object.entries(LIMIT_COLUMNS)
  .map(([name, column]) => `${column}::float8 AS ${name}`)
  .join(", ");

/** What its row says; null where that says nothing. Undefined for an organisation that is none. */
export async function readLimits(q: Queryable, org: string): Promise<QuotaLimits | undefined> {
  return (await q.query<QuotaLimits>(`SELECT ${LIMITS} FROM organisations WHERE id = $1`, [org])).rows[0];
}

export async function writeLimits(
  tx: Queryable,
  payload: string,
  org: string,
  change: Partial<QuotaLimits>,
): Promise<void> {
  const names = Object.keys(change) as (keyof QuotaLimits)[];
  const sets = names.map((name, index) => `${LIMIT_COLUMNS[name]} = $${index + 2}`).join(", ");
  await tx.query(`UPDATE organisations SET ${sets} WHERE id = $1`, [org, ...names.map((name) => change[name])]);
  await tx.query("SELECT pg_notify('mags_events', $1)", [payload]);
}

export interface Sums {
  sandboxes: number;
  vcpus: number;
  memory_mb: number;
}

/** What is up or about to be. A job in another's machine has none of its own. */
export async function readSums(q: Queryable, org: string): Promise<Sums> {
  const { rows } = await q.query<Sums>(
    `SELECT count(*)::int AS sandboxes, coalesce(sum(vcpus), 0)::float8 AS vcpus, coalesce(sum(memory_mb), 0)::float8 AS memory_mb
     FROM jobs WHERE org = $1 AND status IN ('accepted', 'starting', 'running') AND host_job IS NULL`,
    [org],
  );
  return rows[0] as Sums;
}

/** Takes one job out of the bucket. Answers 0, or how long to wait, `s`. */
export async function takeJob(tx: Queryable, org: string, perMinute: number): Promise<number> {
  const filled = `least($2::float8, r.left_over + extract(epoch FROM clock_timestamp() - r.at) * $2::float8 / 60)`;
  const { rowCount } = await tx.query(
    `INSERT INTO job_rates AS r (org, left_over, at) SELECT $1, $2::float8 - 1, clock_timestamp() WHERE $2::float8 >= 1
     ON CONFLICT (org) DO UPDATE SET left_over = ${filled} - 1, at = clock_timestamp() WHERE ${filled} >= 1`,
    [org, perMinute],
  );
  return rowCount === 1 ? 0 : perMinute >= 1 ? Math.max(1, Math.ceil(60 / perMinute)) : 60;
}

export async function jobsOfLastMinute(q: Queryable, org: string): Promise<number> {
  const { rows } = await q.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM (
       SELECT created_at FROM jobs WHERE org = $1 ORDER BY seq DESC LIMIT 100000) AS newest
     WHERE created_at > now() - interval '1 minute'`,
    [org],
  );
  return rows[0]?.count ?? 0;
}
