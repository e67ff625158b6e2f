import { type JobStatus, jobStatuses, type Usage } from "@mags/protocol";
import type { Database } from "../db/database.ts";

const SELECT = `SELECT status, count(*) FILTER (WHERE created_at >= since)::integer AS jobs, since,
    sum(seconds)::double precision AS vm, sum(seconds * vcpus)::double precision AS vcpu,
    sum(seconds * memory_mb / 1024)::double precision AS memory
  FROM (SELECT now() - make_interval(days => $2) AS since) AS w
  LEFT JOIN LATERAL (
    SELECT status, created_at, vcpus, memory_mb,
      CASE WHEN started_at IS NULL OR host_job IS NOT NULL THEN 0
        ELSE extract(epoch FROM coalesce(completed_at, now()) - greatest(started_at, since)) - coalesce((
          SELECT sum(extract(epoch FROM coalesce(to_at, now()) - greatest(from_at, since)))
          FROM job_naps n WHERE n.job = jobs.id AND coalesce(to_at, now()) > since), 0) END AS seconds
    FROM jobs WHERE org = $1 AND (created_at >= since OR completed_at >= since OR completed_at IS NULL)
  ) AS j ON true
  GROUP BY status, since`;

interface Row {
  /** null where the organisation has no job at all */
  status: JobStatus | null;
  since: Date;
  jobs: number;
  vm: number | null;
  vcpu: number | null;
  memory: number | null;
}

/**
 * What an organisation used in the last `days`, from the rows of its jobs; a guest in another job's machine adds no
 * time, and a machine that sleeps none while it does. */
export async function readUsage(db: Database, org: string, days: number): Promise<Usage> {
  const { rows } = await db.query<Row>(SELECT, [org, days]);
  const total = (figure: "jobs" | "vm" | "vcpu" | "memory") => rows.reduce((sum, row) => sum + (row[figure] ?? 0), 0);
  const jobs = Object.fromEntries(
    jobStatuses.map((status) => [status, rows.find((row) => row.status === status)?.jobs ?? 0]),
  ) as Usage["jobs"];
  return {
    window_days: days,
    since: (rows[0] as Row).since.toISOString(),
    total_jobs: total("jobs"),
    jobs,
    vm_seconds: total("vm"),
    vcpu_seconds: total("vcpu"),
    memory_gb_seconds: total("memory"),
  };
}
