import type { UsageFigures, UsageGroup } from "@mags/protocol";
import type { Database, Queryable } from "../db/database.ts";

/** Any constant will do; it must only differ from other users of advisory locks in the same database. */
const LOCK = 7070004;

const TODAY = "(now() AT TIME ZONE 'UTC')::date";

/** What a machine has sent so far. */
export interface Sent {
  job: string;
  machine: string;
  sent_bytes: number;
}

/** Writes down what machines of a node have sent; of jobs that were never its own nothing is written. */
export async function writeEgress(q: Queryable, node: string, machines: Sent[]): Promise<void> {
  await q.query(
    `INSERT INTO egress (org, job, machine, node, day, before_bytes, sent_bytes)
     SELECT j.org, j.id, t.machine, $1, ${TODAY}, coalesce(earlier.sent_bytes, 0), greatest(t.sent_bytes, earlier.sent_bytes)
     FROM unnest($2::uuid[], $3::text[], $4::bigint[]) AS t (job, machine, sent_bytes) JOIN jobs j ON j.id = t.job
     LEFT JOIN LATERAL (SELECT max(sent_bytes) AS sent_bytes FROM egress e
       WHERE e.job = j.id AND e.machine = t.machine AND e.node = $1 AND e.day < ${TODAY}) AS earlier ON true
     WHERE j.node = $1 OR EXISTS (SELECT 1 FROM egress e WHERE e.job = j.id AND e.machine = t.machine AND e.node = $1)
     ON CONFLICT (job, machine, day) DO UPDATE SET sent_bytes = greatest(egress.sent_bytes, excluded.sent_bytes)`,
    [node, machines.map((m) => m.job), machines.map((m) => m.machine), machines.map((m) => m.sent_bytes)],
  );
}

/** Counts what has been stored since the last look, and looks again. Another server that does so now is let do it. */
export async function lookAtStorage(tx: Queryable): Promise<void> {
  const { rows } = await tx.query<{ free: boolean }>("SELECT pg_try_advisory_xact_lock($1) AS free", [LOCK]);
  if (!rows[0]?.free) return;
  await tx.query(
    `INSERT INTO storage_days (org, workspace, day, byte_seconds) SELECT org, workspace, day, byte_seconds FROM storage_since
     ON CONFLICT (org, workspace, day) DO UPDATE SET byte_seconds = storage_days.byte_seconds + excluded.byte_seconds`,
  );
  await tx.query("DELETE FROM storage_now");
  // Equal chunks of several workspaces are stored once: each has its share of them.
  await tx.query(
    `WITH stored AS (SELECT org, sum(stored_bytes) AS bytes FROM chunks WHERE state = 'stored' GROUP BY org),
     written AS (
       SELECT w.org, w.name, sum(v.new_bytes) AS bytes FROM versions v JOIN workspaces w ON w.id = v.workspace AND w.org = v.org
       WHERE NOT w.anonymous GROUP BY w.org, w.name),
     shares AS (
       SELECT org, name, floor(w.bytes * least(1, s.bytes / nullif(sum(w.bytes) OVER (PARTITION BY org), 0))) AS bytes
       FROM written w JOIN stored s USING (org))
     INSERT INTO storage_now (org, workspace, stored_bytes, at)
     SELECT org, name, bytes, now() FROM shares WHERE bytes > 0
     UNION ALL SELECT org, '', bytes - coalesce((SELECT sum(bytes) FROM shares WHERE shares.org = stored.org), 0), now() FROM stored`,
  );
}

export interface UsageQuestion {
  /** undefined: of all */
  org: string | undefined;
  from: string;
  to: string;
  by: readonly UsageGroup[];
}

export type FoundRow = UsageFigures & Partial<Record<UsageGroup, string | null>>;

/** $1 first and $2 last day, $3 organisation or null. Each is split at midnight UTC. */
const MACHINES = `
  SELECT j.org, day::date AS day, j.workspace_name AS workspace, j.created_by AS token, 0 AS jobs, 0 AS sent, 0 AS stored,
    greatest(0, extract(epoch FROM upto - since)::float8 - coalesce((
      SELECT sum(extract(epoch FROM least(coalesce(to_at, now()), upto) - greatest(from_at, since)))::float8
      FROM job_naps n WHERE n.job = j.id AND from_at < upto AND coalesce(to_at, now()) > since), 0)) AS seconds,
    j.vcpus, j.memory_mb
  FROM jobs j
  CROSS JOIN LATERAL (SELECT coalesce(j.completed_at, now()) AS ended) AS its
  CROSS JOIN LATERAL generate_series(
    greatest(date_trunc('day', j.started_at AT TIME ZONE 'UTC'), $1::date::timestamp),
    least(date_trunc('day', its.ended AT TIME ZONE 'UTC'), $2::date::timestamp), interval '1 day') AS day
  CROSS JOIN LATERAL (SELECT greatest(j.started_at, day AT TIME ZONE 'UTC') AS since,
    least(its.ended, (day + interval '1 day') AT TIME ZONE 'UTC') AS upto) AS part
  WHERE j.started_at IS NOT NULL AND j.host_job IS NULL AND ($3::text IS NULL OR j.org = $3)`;
const JOBS = `
  SELECT org, (created_at AT TIME ZONE 'UTC')::date, workspace_name, created_by, 1, 0, 0, 0, 0, 0 FROM jobs
  WHERE created_at >= $1::date::timestamp AT TIME ZONE 'UTC'
    AND created_at < ($2::date + 1)::timestamp AT TIME ZONE 'UTC' AND ($3::text IS NULL OR org = $3)`;
const EGRESS = `
  SELECT e.org, e.day, j.workspace_name, j.created_by, 0, e.sent_bytes - e.before_bytes, 0, 0, 0, 0
  FROM egress e JOIN jobs j ON j.id = e.job AND j.org = e.org
  WHERE e.day BETWEEN $1::date AND $2::date AND ($3::text IS NULL OR e.org = $3)`;
const STORED = `
  SELECT org, day, nullif(workspace, ''), NULL, 0, 0, byte_seconds, 0, 0, 0
  FROM (SELECT * FROM storage_days UNION ALL SELECT * FROM storage_since) AS s
  WHERE day BETWEEN $1::date AND $2::date AND ($3::text IS NULL OR org = $3)`;

const KEYS: Record<UsageGroup, string> = {
  day: "to_char(day, 'YYYY-MM-DD') AS day",
  workspace: "workspace",
  token: "token",
  organisation: "org AS organisation",
};

/** A row for each of what `by` names that has something; one row where it names nothing. */
export async function readUsageRows(db: Database, { org, from, to, by }: UsageQuestion): Promise<FoundRow[]> {
  const positions = by.map((_, index) => index + 1).join(", ");
  const { rows } = await db.query<FoundRow>(
    `SELECT ${by.map((name) => `${KEYS[name]}, `).join("")}
       coalesce(sum(jobs), 0)::integer AS jobs, coalesce(sum(seconds * vcpus), 0)::float8 AS vcpu_seconds,
       coalesce(sum(seconds * memory_mb / 1024), 0)::float8 AS gb_seconds,
       coalesce(sum(stored) / 3600 / (1024.0 ^ 3), 0)::float8 AS storage_gb_hours,
       coalesce(sum(sent), 0)::float8 AS egress_bytes
     FROM (${MACHINES} UNION ALL ${JOBS} UNION ALL ${EGRESS} UNION ALL ${STORED}) AS parts
     ${by.length > 0 ? `GROUP BY ${positions} ORDER BY ${positions}` : ""}`,
    [from, to, org ?? null],
  );
  return rows;
}
