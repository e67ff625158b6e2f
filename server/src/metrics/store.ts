import type { Queryable } from "../db/database.ts";

export interface JobFigures {
  status: string;
  jobs: number;
  /** of the job that is longest in that state since it was accepted, `s` */
  oldest: number;
}

/** Live jobs by state. */
export async function countJobs(q: Queryable): Promise<JobFigures[]> {
  const { rows } = await q.query<JobFigures>(
    `SELECT status, count(*)::int AS jobs, max(extract(epoch FROM now() - created_at))::float8 AS oldest FROM jobs
     WHERE status IN ('accepted', 'starting', 'running', 'sleeping') GROUP BY status`,
  );
  return rows;
}

export interface WorkspaceFigures {
  workspaces: number;
  dirty: number;
  failing: number;
  pending_bytes: number;
  /** how far the workspace that is furthest behind is behind, `s`; 0 when all is durable */
  lag: number;
  stored_bytes: number;
}

/** All workspaces, those of single jobs too. Lag is the age of the recovery point of what has changes that are not durable. */
export async function sumWorkspaces(q: Queryable): Promise<WorkspaceFigures> {
  const { rows } = await q.query<WorkspaceFigures>(
    `SELECT count(*)::int AS workspaces, count(*) FILTER (WHERE dirty)::int AS dirty,
       count(*) FILTER (WHERE last_error IS NOT NULL)::int AS failing,
       coalesce(sum(pending_bytes) FILTER (WHERE dirty), 0)::float8 AS pending_bytes,
       coalesce(max(extract(epoch FROM now() - coalesce(durable_at, used_at)))
         FILTER (WHERE dirty AND (pending_bytes > 0 OR last_error IS NOT NULL)), 0)::float8 AS lag,
       (SELECT coalesce(sum(stored_bytes), 0)::float8 FROM chunks WHERE state = 'stored') AS stored_bytes
     FROM workspaces`,
  );
  return rows[0] as WorkspaceFigures;
}

export interface ScheduleFigures {
  enabled: number;
  failing: number;
  /** by how much the most overdue schedule is late, `s` */
  late: number;
}

export async function sumSchedules(q: Queryable): Promise<ScheduleFigures> {
  const { rows } = await q.query<ScheduleFigures>(
    `SELECT count(*) FILTER (WHERE enabled)::int AS enabled, count(*) FILTER (WHERE failures > 0)::int AS failing,
       coalesce(max(extract(epoch FROM now() - next_at)) FILTER (WHERE enabled AND next_at < now()), 0)::float8 AS late
     FROM crons`,
  );
  return rows[0] as ScheduleFigures;
}
